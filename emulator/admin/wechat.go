package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/uploadtenant/uploadtenant/emulator/faults"
	"github.com/uploadtenant/uploadtenant/emulator/requestlog"
)

// DisturbWeChat delays a WeChat call and tells whether it is to fail: WeChat has one code for that, "system busy".
func (a *Admin) DisturbWeChat(r *http.Request, operation string) bool {
	p := a.Faults.Plan(operation)
	faults.Wait(r.Context(), p.Delay)
	return p.Code != ""
}

// RecordWeChat puts a WeChat call into the log, with its errcode as code.
func (a *Admin) RecordWeChat(r *http.Request, operation string, errcode int, start time.Time) {
	e := requestlog.Entry{Time: start.UTC(), Service: "wechat", Operation: operation, Caller: "anonymous",
		Method: r.Method, Path: r.URL.Path, Status: http.StatusOK, DurationMs: a.since(start)}
	if errcode != 0 {
		e.Code = strconv.Itoa(errcode)
	}
	a.Log.Add(e)
}
