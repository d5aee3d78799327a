package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// Disk is a file system of its own for a run, in a file.
type Disk struct{ dir, image string }

const (
	diskBytes  = 16 << 30 // of which the file takes what is used
	leastBytes = 4 << 10
)

// Mount makes a disk and mounts it at dir, which takes root, Linux and mkfs.ext4.
func Mount(dir string) (*Disk, error) {
	d := &Disk{dir, dir + ".img"}
	image, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	err = errors.Join(image.Truncate(diskBytes), image.Close(), do("mkfs.ext4", "-q", "-m", "0", d.image), do("mount", "-o", "loop", d.image, dir))
	if err != nil {
		return nil, errors.Join(err, os.Remove(d.image))
	}
	return d, nil
}

// Remove takes it away with all that is on it.
func (d *Disk) Remove() error {
	return errors.Join(do("umount", d.dir), os.Remove(d.image))
}

func (d *Disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no room.
func (d *Disk) fill() error {
	if err := os.Mkdir(d.ballast(), 0o700); err != nil {
		return err
	}
	for size, n := int64(diskBytes), 0; size >= leastBytes; n++ {
		if do("fallocate", "-l", strconv.FormatInt(size, 10), filepath.Join(d.ballast(), strconv.Itoa(n))) != nil {
			size /= 2
		}
	}
	return nil
}

func (d *Disk) empty() error { return os.RemoveAll(d.ballast()) }

func do(program string, args ...string) error {
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}
