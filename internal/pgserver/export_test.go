package pgserver

func (s *Server) PID() int { return s.current().pid }

func (s *Server) TCPURL() (string, error) { return s.tcpURL() }
