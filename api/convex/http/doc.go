// Package http serves the HTTP endpoints of Convex clients: /api/query,
// /api/mutation, /api/action, /api/function and /api/run, and what clients ask
// beside them. The sync websocket has a path among these; package sync serves
// it.
//
//	request ─> route ─> origin ─> credential ─> body ─> registry.Prepare ─> Run ─> answer
//	              └─> /api/sync ─> Sync.Serve
//
// A request that never becomes a call is answered with a status of 400 to 503
// and {"code","message"}; one that does, with {"status":"success","value"} or
// {"status":"error","errorMessage","errorData"?}.
//
// A Handler is used by any number of requests at once. The bytes of bodies are
// bounded over all of them.
package http
