package control

import (
	"context"
	"io"
	"net/http"
)

const pathStop = "/control/v1/stop"

// Stopper is an engine that can be told to end.
type Stopper interface {
	// Stop has the engine end soon; it does not wait for that.
	Stop()
}

// stop answers first: the end of the node is the end of its connections.
func (s *Server) stop(w http.ResponseWriter, _ *http.Request) {
	engine, can := s.engine.(Stopper)
	if !can {
		refuse(w, http.StatusNotFound, &Error{CodeUsage, "this node ends with the command that started it", ""})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}\n") // who asked may have gone
	_ = http.NewResponseController(w).Flush()
	engine.Stop()
}

// Stop tells the node to end. That it has heard does not mean that it has ended.
func (c *Client) Stop(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodPost, pathStop, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
