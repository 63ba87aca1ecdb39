package signer

import "net/http"

// operations is the whole HTTP contract; routes and the OpenAPI document both come from it.
func (s *Server) operations() []operation {
	return []operation{
		{name: "createUploads", method: http.MethodPost, pattern: "/v1/uploads", handle: s.handleUploads, doc: operationDoc{
			summary: "Ask for upload grants", detail: "One verdict per file, in the order of the request; a rejected file does not affect the others.",
			body: UploadsRequest{}, answer: UploadsResponse{}, problems: []int{400, 401, 413, 415, 503}}},
		{name: "completeUpload", method: http.MethodPost, pattern: "/v1/uploads/complete", handle: s.handleComplete, doc: operationDoc{
			summary: "Record an upload whose callback was lost", detail: "Call it when OSS answered 203 or the answer was lost. It may be repeated.",
			body: CompleteRequest{}, answer: Record{}, problems: []int{400, 401, 403, 404, 409, 410, 503}}},
		{name: "listUploads", method: http.MethodGet, pattern: "/v1/uploads", handle: s.handleList, doc: operationDoc{
			summary: "List your uploads, newest first", query: []queryDoc{{"cursor", "nextCursor of the page before", "string"}, {"limit", "1 to 100, 20 when left out", "integer"}},
			answer: UploadList{}, problems: []int{400, 401}}},
		{name: "getUpload", method: http.MethodGet, pattern: "/v1/uploads/{id}", handle: s.handleGet, doc: operationDoc{
			summary: "Read one of your uploads", answer: Record{}, problems: []int{401, 404}}},
		{name: "proveUpload", method: http.MethodPost, pattern: "/v1/uploads/prove", handle: s.handleProve, doc: operationDoc{
			summary: "Answer a challenge", detail: "A right answer in time gives the verdict instant; any other gives a plain grant.",
			body: ProveRequest{}, answer: Verdict{}, problems: []int{400, 401, 404, 503}}},
		{name: "deleteUpload", method: http.MethodDelete, pattern: "/v1/uploads/{id}", handle: s.handleDelete, doc: operationDoc{
			summary: "Delete one of your uploads and its object", problems: []int{401, 404}}},
		{name: "createURL", method: http.MethodPost, pattern: "/v1/uploads/{id}/url", handle: s.handleURL, doc: operationDoc{
			summary: "Get a presigned URL to read one of your uploads", body: URLRequest{}, answer: URLResponse{}, problems: []int{400, 401, 404, 409, 503}}},
		{name: "createURLs", method: http.MethodPost, pattern: "/v1/uploads/urls", handle: s.handleURLs, doc: operationDoc{
			summary: "Get presigned URLs for a batch of your uploads", body: URLsRequest{}, answer: URLsResponse{}, problems: []int{400, 401, 503}}},
		{name: "checkHashes", method: http.MethodPost, pattern: "/v1/hashes/check", handle: s.handleHashes, doc: operationDoc{
			summary: "Tell which of your own files exist", body: HashesRequest{}, answer: HashesResponse{}, problems: []int{400, 401}}},
		{name: "getPolicy", method: http.MethodGet, pattern: "/v1/policy", handle: s.handlePolicy, doc: operationDoc{
			summary: "Get one grant for many files below your folder", detail: "Only when the tenant opted in. It pins less than POST /v1/uploads, and its uploads are not recorded.",
			query: []queryDoc{{"dir", "folder below your own", "string"}}, answer: PrefixGrant{}, problems: []int{400, 401, 403, 503}}},
		{name: "createMultipart", method: http.MethodPost, pattern: "/v1/multipart", handle: s.handleMultipart, doc: operationDoc{
			summary: "Begin a multipart upload for a large file", body: FileRequest{}, answer: MultipartResponse{}, problems: []int{400, 401, 413, 415, 429, 503}}},
		{name: "createParts", method: http.MethodPost, pattern: "/v1/multipart/{id}/parts", handle: s.handleParts, doc: operationDoc{
			summary: "Get presigned PUTs for parts, and which parts have arrived", body: PartsRequest{}, answer: PartsResponse{}, problems: []int{400, 401, 404, 503}}},
		{name: "completeMultipart", method: http.MethodPost, pattern: "/v1/multipart/{id}/complete", handle: s.handleMultipartComplete, doc: operationDoc{
			summary: "Join the parts and record the upload", answer: Record{}, problems: []int{401, 404, 409, 410, 503}}},
		{name: "abortMultipart", method: http.MethodDelete, pattern: "/v1/multipart/{id}", handle: s.handleMultipartAbort, doc: operationDoc{
			summary: "Drop a multipart upload and its parts", problems: []int{401, 404, 503}}},
		{name: "createWeChatSession", method: http.MethodPost, pattern: "/v1/sessions/wechat", public: true, handle: s.handleWeChat, doc: operationDoc{
			summary: "Trade a code of wx.login for a session token", detail: "Only of tenants with auth.wechat. A code is good for one call; after an error, call wx.login again.",
			body: SessionRequest{}, answer: SessionResponse{}, problems: []int{400, 401, 403, 404, 413, 415, 429, 503}}},
		{name: "provePush", method: http.MethodGet, pattern: "/v1/wechat/push", public: true, handle: s.handlePush, doc: operationDoc{hidden: true}},
		{name: "receivePush", method: http.MethodPost, pattern: "/v1/wechat/push", public: true, handle: s.handlePush, doc: operationDoc{hidden: true}},
		{name: "openapi", method: http.MethodGet, pattern: "/openapi.json", public: true, handle: s.handleOpenAPI, doc: operationDoc{hidden: true}},
	}
}
