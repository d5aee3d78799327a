// Package analyst keeps who reads the database in SQL from holding up the
// daemon. The role telemetry_analyst may read runs; what it may use of the
// server's besides is bounded here:
//
//	Restrict, at each start     no advisory locks (uploads and migrations use
//	                            them), temporary tables or large objects; a
//	                            bound for temporary files
//	Guard.Look, every 5 s       ends sessions whose statement or transaction is
//	                            older than it may be, whatever timeout they set
//	Lacks, for doctor           what the server does not let us forbid
//
// Much of it takes a superuser. Where we are none, what can be done is done, and
// doctor names the rest. A Guard runs in any number of instances.
package analyst
