package faults

import (
	"encoding/json"
	"net/http"
)

// Handler serves the faults: PUT replaces them, GET shows them, DELETE ends them.
func (i *Injector) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		// Not POST: a web page may send one to any address without asking first.
		case http.MethodPut:
			c, err := Parse(r.Body)
			if err == nil {
				err = i.Set(c)
			}
			if err != nil {
				answer(w, http.StatusBadRequest, map[string]string{"code": "InvalidFaults", "message": err.Error()})
				return
			}
		case http.MethodDelete:
			i.Clear()
		default:
			w.Header().Set("Allow", "GET, PUT, DELETE")
			answer(w, http.StatusMethodNotAllowed, map[string]string{"code": "MethodNotAllowed", "message": "Use GET, PUT or DELETE."})
			return
		}
		c, _ := i.Config()
		answer(w, http.StatusOK, c)
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
