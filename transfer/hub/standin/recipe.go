package standin

import (
	"slices"

	"hffs/transfer/hub/standin/cas"
)

// The answer's parts; the ends of chunk ranges are exclusive, those of byte
// ranges inclusive.
type (
	jsonRange struct {
		Start int64 `json:"start"`
		End   int64 `json:"end"`
	}
	jsonTerm struct {
		Hash   string    `json:"hash"`
		Length int64     `json:"unpacked_length"`
		Range  jsonRange `json:"range"`
	}
	jsonRun struct {
		Chunks jsonRange `json:"chunks"`
		Bytes  jsonRange `json:"bytes"`
	}
	jsonFetchV1 struct {
		Range jsonRange `json:"range"`
		URL   string    `json:"url"`
		Bytes jsonRange `json:"url_range"`
	}
	jsonFetchV2 struct {
		URL    string    `json:"url"`
		Ranges []jsonRun `json:"ranges"`
	}
)

func jsonTerms(r cas.Reconstruction) []jsonTerm {
	var list []jsonTerm
	for _, t := range r.Terms {
		list = append(list, jsonTerm{t.Xorb.String(), t.Size, jsonRange{int64(t.Start), int64(t.End)}})
	}
	return list
}

func formV1(x *exchange, r cas.Reconstruction) any {
	info := map[string][]jsonFetchV1{}
	for hash, runs := range r.Runs {
		for _, run := range runs {
			info[hash.String()] = append(info[hash.String()], jsonFetchV1{
				jsonRange{int64(run.Start), int64(run.End)}, x.signXorb(hash, []cas.Run{run}), jsonRange{run.First, run.Last},
			})
		}
	}
	return map[string]any{"offset_into_first_range": r.Skip, "terms": jsonTerms(r), "fetch_info": info}
}

func formV2(x *exchange, r cas.Reconstruction) any {
	xorbs := map[string][]jsonFetchV2{}
	for hash, runs := range r.Runs {
		for part := range slices.Chunk(runs, maxSigned) {
			fetch := jsonFetchV2{URL: x.signXorb(hash, part)}
			for _, run := range part {
				fetch.Ranges = append(fetch.Ranges, jsonRun{
					jsonRange{int64(run.Start), int64(run.End)}, jsonRange{run.First, run.Last},
				})
			}
			xorbs[hash.String()] = append(xorbs[hash.String()], fetch)
		}
	}
	return map[string]any{"offset_into_first_range": r.Skip, "terms": jsonTerms(r), "xorbs": xorbs}
}
