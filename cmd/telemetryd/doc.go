// Command telemetryd keeps a vehicle's telemetry in TimescaleDB and serves it
// to bridges, dashboards and analysts.
package main
