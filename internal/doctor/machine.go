package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	littleDisk  = 5 << 30 // bytes: a day at the track with its indexes and WAL
	noDisk      = 512 << 20
	fewFiles    = 4096 // descriptors: one for each socket
	openForMany = 0o077
)

// Machine looks at the machine that the daemon runs on. dataDir is the folder
// of the embedded database, or empty when there is none.
func Machine(dataDir string) []Finding {
	findings := []Finding{files()}
	if dataDir != "" {
		findings = append(findings, disk(dataDir))
		if f, ok := folder(dataDir); ok {
			findings = append(findings, f)
		}
	}
	return findings
}

func disk(dir string) Finding {
	finding := Finding{Subject: "Disk"}
	// The folder may not be there yet; what counts is where it will be.
	at := dir
	for {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(at, &stat); err != nil {
		finding.Level, finding.Found = Warning, "cannot be looked at: "+err.Error()
		finding.Advice = "Check the folder " + dir
		return finding
	}
	free := int64(stat.Bavail) * int64(stat.Bsize)
	finding.Found = fmt.Sprintf("%s free at %s", size(free), dir)
	switch {
	case free < noDisk:
		finding.Level = Problem
		finding.Advice = "Make room, or move the data directory: the database stops when the disk is full"
	case free < littleDisk:
		finding.Level = Warning
		finding.Advice = "Make room, or move the data directory"
	}
	return finding
}

func folder(dir string) (Finding, bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return Finding{}, false // made by the first start
	}
	if info.Mode().Perm()&openForMany != 0 {
		return Finding{
			Subject: "Data directory", Level: Warning,
			Found:  fmt.Sprintf("%s can be entered by other users (mode %v)", dir, info.Mode().Perm()),
			Advice: "Run chmod 700 " + dir,
		}, true
	}
	return Finding{Subject: "Data directory", Found: dir}, true
}

func files() Finding {
	finding := Finding{Subject: "Open files"}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		finding.Level, finding.Found = Warning, "the limit cannot be read: "+err.Error()
		return finding
	}
	finding.Found = fmt.Sprintf("up to %d", limit.Cur)
	if limit.Cur < fewFiles {
		finding.Level = Warning
		finding.Advice = fmt.Sprintf("Raise the limit to %d or more (ulimit -n, LimitNOFILE=): each client holds one", fewFiles)
	}
	return finding
}

// size writes a number of bytes for people, such as 12.3 GB.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, names := float64(n), "kMGTPE"
	i := -1
	for value >= unit && i < len(names)-1 {
		value /= unit
		i++
	}
	return fmt.Sprintf("%.1f %cB", value, names[i])
}
