package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client is a command's side of the API. It is an [Engine].
type Client struct {
	base string
	key  string
	http *http.Client
}

// NewClient talks to the node whose API is at addr (host:port).
func NewClient(addr, key string) *Client {
	return &Client{base: "http://" + addr, key: key, http: &http.Client{Transport: &http.Transport{
		Proxy:                 nil, // loopback
		ResponseHeaderTimeout: 0,   // the swarm may need its time
		DisableKeepAlives:     true,
	}}}
}

var _ Engine = (*Client)(nil)

// Get asks the node to bring a file and passes its progress on.
func (c *Client) Get(ctx context.Context, ask Ask, watch func(Progress)) (Got, error) {
	resp, err := c.do(ctx, http.MethodPost, pathGet, ask)
	if err != nil {
		return Got{}, err
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		var e Event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			return Got{}, fmt.Errorf("read the node's answer: %w", err)
		}
		switch {
		case e.Error != nil:
			return Got{}, e.Error
		case e.Got != nil:
			return *e.Got, nil
		case e.Progress != nil && watch != nil:
			watch(*e.Progress)
		}
	}
	if ctx.Err() != nil {
		return Got{}, ctx.Err()
	}
	return Got{}, &Error{CodeInternal, "the node went away in the middle of the work", "is it still running? \"hffs status\"; what was fetched is kept"}
}

// Where asks the node who holds a file.
func (c *Client) Where(ctx context.Context, ask Ask) (w Where, err error) {
	return w, c.ask(ctx, http.MethodPost, pathWhere, ask, &w)
}

// Status asks the node about itself.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.ask(ctx, http.MethodGet, pathStatus, nil, &s)
}

// Alive reports whether a node answers at all, within a second.
func (c *Client) Alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := c.Status(ctx)
	return err == nil
}

func (c *Client) ask(ctx context.Context, method, path string, question, answer any) error {
	resp, err := c.do(ctx, method, path, question)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer)
}

func (c *Client) do(ctx context.Context, method, path string, question any) (*http.Response, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Error{CodeNoNode, "the node does not answer: " + errors.Unwrap(err).Error(), "is it running? start one with \"hffs up\""}
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var e Event
	if json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&e) == nil && e.Error != nil {
		return nil, e.Error
	}
	return nil, &Error{CodeInternal, "the node answered " + resp.Status, "is another program listening on its port?"}
}
