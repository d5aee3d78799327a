package pgserver

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// defaults are the settings of a server that shares a machine with the daemon
// and takes in a steady stream of rows. Durability is left as it is: an
// acknowledged batch is on disk.
func defaults(bin Programs) map[string]string {
	const mb = 1 << 20
	ram := memory()
	settings := map[string]string{
		"shared_preload_libraries":           "timescaledb",
		"timescaledb.telemetry_level":        "off",
		"timescaledb.max_background_workers": "24",
		// The workers above, a launcher, and PostgreSQL's own parallel workers.
		"max_worker_processes":      "40",
		"max_connections":           "200",
		"shared_buffers":            megabytes(clamp(ram/8, 128*mb, 4096*mb)),
		"effective_cache_size":      megabytes(clamp(ram/2, 512*mb, 65536*mb)),
		"maintenance_work_mem":      megabytes(clamp(ram/32, 64*mb, 1024*mb)),
		"work_mem":                  "16MB",
		"wal_buffers":               "16MB",
		"max_wal_size":              "4GB",
		"min_wal_size":              "256MB",
		"checkpoint_timeout":        "15min",
		"random_page_cost":          "1.1",
		"jit":                       "off", // costs more than it gives on queries of a few chunks
		"timezone":                  "UTC",
		"log_timezone":              "UTC",
		"log_checkpoints":           "off",
		"log_line_prefix":           "%m [%p] %q%u@%d ",
		"listen_addresses":          "127.0.0.1",
		"password_encryption":       "scram-sha-256",
		"cluster_name":              "telemetryd",
		"update_process_title":      "on",
		"autovacuum_naptime":        "30s",
		"idle_session_timeout":      "0",
		"max_locks_per_transaction": "256", // a query locks every chunk that it reads
	}
	if bin.Major >= 17 {
		// Nothing of ours notifies. Whoever may read can, and would fill the disk with
		// 8 GB that no session of theirs takes.
		settings["max_notify_queue_pages"] = "1024"
	}
	if bin.LZ4 {
		settings["wal_compression"] = "lz4"
	}
	if runtime.GOOS == "linux" {
		// Sessions of a killed daemon end even in the middle of a long query.
		settings["client_connection_check_interval"] = "2s"
	}
	return settings
}

// render writes settings as a configuration file.
func render(settings map[string]string) string {
	var b strings.Builder
	b.WriteString("# Written by telemetryd at every start; put settings of your own in postgresql.auto.conf (ALTER SYSTEM).\n")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(settings[name], "'", "''"))
	}
	return b.String()
}

// memory is what the machine, or the container we are in, has: bytes.
func memory() int64 {
	total := int64(2 << 30) // where nothing tells
	if content, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(content)) {
			if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
				if kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64); err == nil {
					total = kb << 10
				}
			}
		}
	}
	if content, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64); err == nil && limit < total {
			total = limit
		}
	}
	return total
}

func clamp(v, low, high int64) int64 { return min(max(v, low), high) }

func megabytes(bytes int64) string { return strconv.FormatInt(bytes>>20, 10) + "MB" }
