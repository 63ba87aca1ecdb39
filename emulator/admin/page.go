package admin

import (
	"embed"
	"net/http"
)

//go:embed page
var assets embed.FS

// page serves the page for people. Everything it needs is in the binary.
func (a *Admin) page(mux *http.ServeMux) {
	serve := func(path, file, contentType string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			body, err := assets.ReadFile("page/" + file)
			if err != nil {
				refuse(w, http.StatusInternalServerError, "InternalError", "The page is not in the binary.")
				return
			}
			h := w.Header()
			h.Set("Content-Type", contentType)
			h.Set("Cache-Control", "no-cache")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
			_, _ = w.Write(body)
		})
	}
	serve("/_emulator/{$}", "index.html", "text/html; charset=utf-8")
	serve("/_emulator/page.css", "page.css", "text/css; charset=utf-8")
	serve("/_emulator/page.js", "page.js", "text/javascript; charset=utf-8")
	serve("/_emulator/favicon.svg", "favicon.svg", "image/svg+xml")
	mux.Handle("GET /_emulator", http.RedirectHandler("/_emulator/", http.StatusPermanentRedirect))
}
