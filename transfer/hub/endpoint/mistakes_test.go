package endpoint

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What others who speak the Hub's protocol got wrong, one by one, as their users
// and those of the clients reported it.
func TestMistakesOfOthersAreNotMadeAgain(t *testing.T) {
	t.Parallel()
	const file = "/org/model/resolve/main/model.safetensors"
	for name, check := range map[string]func(*testing.T, door){
		"no length on a HEAD": func(t *testing.T, d door) {
			require.EqualValues(t, 1000, d.head(file, header("Accept-Encoding", "identity")).ContentLength)
			require.EqualValues(t, 0, d.head("/org/model/resolve/main/empty.txt").ContentLength)
		},
		"a redirect": func(t *testing.T, d door) {
			for _, path := range []string{file, "//org/model/resolve/main/config.json", "/api/models/gpt2", "/api/models/org/model/", "/api/models/org//model"} {
				got := d.get(path)
				require.NotEqual(t, 3, got.StatusCode/100, path)
				require.Empty(t, got.Header.Get("Location"))
			}
		},
		"state in the query": func(t *testing.T, d door) {
			require.Equal(t, d.get(file).body, d.get(file+"?download=true&x=%22").body)
		},
		"words of Xet": func(t *testing.T, d door) {
			d.info = `{"sha":"` + string(main1) + `","siblings":[{"rfilename":"x","xetHash":"0"}]}`
			for _, path := range []string{file, "/api/models/org/model", "/api/models/org/model/tree/main?recursive=true"} {
				got := d.get(path, header("Accept", "application/vnd.xet-fileinfo+json, */*"))
				require.NotContains(t, got.body, "xetHash")
				for name := range got.Header {
					require.NotContains(t, strings.ToLower(name), "xet")
				}
			}
		},
		"sha256 as the etag of a file in git": func(t *testing.T, d door) {
			require.Len(t, d.head("/org/model/resolve/main/config.json").Header.Get("ETag"), 42)
			require.Len(t, d.head(file).Header.Get("ETag"), 66)
		},
		"a weak etag": func(t *testing.T, d door) {
			require.NotContains(t, d.head(file).Header.Get("ETag"), "W/")
		},
		"an error's etag": func(t *testing.T, d door) {
			got := d.head("/org/model/resolve/main/nope")
			require.Empty(t, got.Header.Get("ETag")+got.Header.Get("X-Linked-Etag")+got.Header.Get("X-Linked-Size"))
		},
		"trouble told as no such repo": func(t *testing.T, d door) {
			d.fault = errHubAway
			for _, path := range []string{file, "/api/models/org/model", "/api/models/org/model/refs", "/api/models/org/model/tree/main", "/v2/org/model/manifests/latest", "/api/whoami-v2", "/any/thing"} {
				got := d.get(path, header("User-Agent", "llama-cpp"))
				require.Contains(t, []int{502, 503, 504}, got.StatusCode, path)
				require.Empty(t, got.Header.Get("X-Error-Code"))
			}
		},
		"no refs": func(t *testing.T, d door) { require.Equal(t, 200, d.get("/api/models/org/model/refs").StatusCode) },
		"pages without end": func(t *testing.T, d door) {
			require.Equal(t, "[]", d.get("/api/models/org/model/tree/main?recursive=true&cursor=abc").body)
		},
		"paths-info as JSON alone": func(t *testing.T, d door) {
			for kind, body := range map[string]string{"application/json": `{"paths":["config.json"]}`, "application/x-www-form-urlencoded": "paths=config.json"} {
				var list []listed
				got := d.ask("POST", "/api/models/org/model/paths-info/main", header("Content-Type", kind), body)
				require.NoError(t, json.Unmarshal([]byte(got.body), &list))
				require.Len(t, list, 1)
			}
		},
		"ranges of an empty file": func(t *testing.T, d door) {
			for _, r := range []string{"bytes=0-0", "bytes=0-", "bytes=0--1", "bytes=-1"} {
				got := d.get("/org/model/resolve/main/empty.txt", header("Range", r))
				require.Equal(t, 200, got.StatusCode)
				require.EqualValues(t, 0, got.ContentLength)
			}
		},
		"sizes that do not agree": func(t *testing.T, d door) {
			head, get, part := d.head(file), d.get(file), d.get(file, header("Range", "bytes=0-0"))
			require.Equal(t, head.ContentLength, get.ContentLength)
			require.Len(t, get.body, int(head.ContentLength))
			require.Equal(t, "bytes 0-0/"+head.Header.Get("X-Linked-Size"), part.Header.Get("Content-Range"))
		},
		"a range passed over": func(t *testing.T, d door) {
			require.Equal(t, 206, d.get(file, header("Range", "bytes=999-")).StatusCode)
			require.Equal(t, 416, d.get(file, header("Range", "bytes=1000-")).StatusCode, "what a client sends that has it all")
		},
		"a compressed file": func(t *testing.T, d door) {
			got := d.get(file, header("Accept-Encoding", "gzip, deflate, br, zstd"))
			require.Empty(t, got.Header.Get("Content-Encoding"))
			require.EqualValues(t, 1000, got.ContentLength)
		},
		"questions nobody foresaw": func(t *testing.T, d door) {
			require.Equal(t, 200, d.get("/api/models/org/model?expand=xetEnabled&new=1&cardData=true").StatusCode)
			require.Equal(t, 200, d.get("/api/models/org/model/tree/main?whatever=1").StatusCode)
		},
		"anybody may read": func(t *testing.T, d door) {
			got := d.get(file, header("Origin", "https://evil.example"))
			for name := range got.Header {
				require.False(t, strings.HasPrefix(name, "Access-Control-"), name)
			}
			require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
		},
		"a kept answer for another caller": func(t *testing.T, d door) {
			d.get(file, header("Authorization", "Bearer hf_may"))
			d.fault = &Failure{Status: http.StatusForbidden, Code: "GatedRepo", Message: "no"}
			require.Equal(t, 403, d.get(file).StatusCode, "each is asked for anew")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, newDoor(t))
		})
	}
}
