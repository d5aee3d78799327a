package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/api/convex/registry"
	"github.com/ecovolt/telemetryd/api/convex/value"
	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
)

// callEncoded runs a function once and encodes its result.
func (s *Server) callEncoded(ctx context.Context, call functionCall, kind registry.Kind, id identity) ([]byte, error) {
	in, err := s.registry.Prepare(call.request(), kind, registry.Caller{Credentials: id.Credentials})
	if err != nil {
		return nil, err
	}
	out, err := s.registry.Run(ctx, in, nil)
	if err != nil {
		return nil, err
	}
	return value.Append(nil, out.Value, value.Encoded)
}

// runMutation runs a mutation of a connection, at most once for its session
// and request whatever happens to the connection, and answers it.
func (s *Server) runMutation(k *socket, m mutation) {
	c := k.session
	ctx, cancel := k.callContext()
	defer cancel()
	// A client that lost its connection asks again while the first run may
	// still be under way.
	key := requestKey{c.id, m.request}
	leave, err := s.enterRequest(ctx, key)
	if err != nil {
		c.end(closeTryLater, reasonTooMany)
		return
	}
	defer leave()

	var held atomic.Bool
	a, err := s.mutateOnce(ctx, key, m, func() {
		if held.CompareAndSwap(false, true) {
			c.committing()
		}
	})
	s.Wrote()
	if err != nil {
		if isKeyRefused(m.identity, err) {
			c.refuseIdentity(err.Error(), false)
			return
		}
		a = answer{failed: registry.Describe(ctx, s.log, m.call.Path, err, value.Encoded)}
	}
	if a.failed != nil && a.failed.Kind == fault.Unavailable {
		// Whether it was committed is not known. The client connects anew and
		// asks again, and then the record tells.
		code, reason := closeInternal, reasonInternal
		if fault.Is(err, fault.Unavailable) { // it was turned away, and says so
			code, reason = closeTryLater, reasonTooMany
		}
		c.end(code, reason)
		return
	}
	c.answerMutation(m.request, a, held.Load())
}

// mutateOnce runs the mutation unless it has run, and returns its answer. It
// calls committing before anything of it can be seen by others. An error means
// that nothing was recorded: it failed before it wrote.
func (s *Server) mutateOnce(ctx context.Context, key requestKey, m mutation, committing func()) (answer, error) {
	in, err := s.registry.Prepare(m.call.request(), registry.Mutation, registry.Caller{Credentials: m.identity.Credentials})
	if err != nil {
		return answer{}, err
	}
	caller := callerDigest(m.identity.digest, in)
	if earlier, err := s.requests.recall(ctx, key, caller); err != nil || earlier != nil {
		return deref(earlier), err
	}
	var run [16]byte
	rand.Read(run[:])
	var (
		ts       int64
		repeated bool
	)
	out, err := s.registry.Run(schema.WithBeforeCommit(ctx, func(ctx context.Context, tx pgx.Tx) error {
		committing()
		ts = s.clock.next()
		err := s.requests.record(ctx, tx, key, caller, run, ts)
		repeated = repeated || errors.Is(err, errRepeated)
		return err
	}), in, nil)
	if repeated {
		return s.repeat(ctx, key, caller)
	}
	a := answer{ts: ts}
	if err == nil {
		a.value, err = value.Append(nil, out.Value, value.Encoded)
	}
	if err != nil {
		if ts == 0 {
			return answer{}, err
		}
		a.failed = registry.Describe(ctx, s.log, in.Function.Name, err, value.Encoded)
		if a.failed.Kind == fault.Unavailable {
			return a, nil
		}
	}
	if ts == 0 {
		// It opened no transaction, so it wrote nothing that a repeat could double.
		committing()
		a.ts = s.clock.next()
		return a, nil
	}
	if err := s.requests.finish(ctx, key, run, a); err != nil {
		// It is committed; only a repeat would miss the answer.
		s.log.Error("record the answer of a mutation", "function", in.Function.Name, "error", err)
	}
	return a, nil
}

// repeat returns the answer of the run that was first.
func (s *Server) repeat(ctx context.Context, key requestKey, caller []byte) (answer, error) {
	earlier, err := s.requests.recall(ctx, key, caller)
	if err == nil && earlier == nil {
		err = fault.New(fault.Unavailable, "the request is being run elsewhere")
	}
	return deref(earlier), err
}

func deref(a *answer) answer {
	if a == nil {
		return answer{}
	}
	return *a
}

// enterRequest waits until no other run of the same request is under way in
// this process. Call leave at the end.
func (s *Server) enterRequest(ctx context.Context, key requestKey) (leave func(), err error) {
	for {
		s.requestsMu.Lock()
		busy := s.underWay[key]
		if busy == nil {
			done := make(chan struct{})
			s.underWay[key] = done
			s.requestsMu.Unlock()
			return func() {
				s.requestsMu.Lock()
				defer s.requestsMu.Unlock()
				delete(s.underWay, key)
				close(done)
			}, nil
		}
		s.requestsMu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-busy:
		}
	}
}
