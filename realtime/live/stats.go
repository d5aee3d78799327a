package live

// Stats counts what a stream does.
type Stats struct {
	Connections, Sessions int   // now
	Frames                int64 // messages written
	Records               int64 // records read for live readers
	DeltaReads            int64 // reads for live readers
	ReplayReads           int64 // reads by connections that caught up
	Overflows             int64 // subscriptions that fell behind
	Slow                  int64 // connections that were ended because their client read too slowly
}

// Stats returns the stream's counts.
func (st *Stream) Stats() Stats {
	st.mu.Lock()
	defer st.mu.Unlock()
	return Stats{
		Connections: len(st.conns), Sessions: len(st.feeds), Frames: st.framesOut.Load(), Records: st.recordsOut.Load(),
		DeltaReads: st.deltaReads.Load(), ReplayReads: st.replayReads.Load(), Overflows: st.overflows.Load(), Slow: st.slow.Load(),
	}
}
