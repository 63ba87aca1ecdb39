package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Link describes the network between the host and the node.
type Link struct {
	Device string   // name on the host's side
	HostIP string   // address on the host's side
	NodeIP string   // address inside
	Net    string   // the net of both
	Routes []string // nets that are reached through the node
}

// Free reports, as an error, what of the link's nets the machine already uses
// for something else.
func (l Link) Free() error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	want, err := netip.ParsePrefix(l.Net)
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		if i.Name == l.Device {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Bits() > 0 && p.Masked().Overlaps(want) {
				return fmt.Errorf("the cluster's network %s overlaps %s of device %s", l.Net, p, i.Name)
			}
		}
	}
	return nil
}

// Connect makes the veth pair between the host and the network namespace of
// pid, where the other end is called eth0. The routes are a convenience; one
// that the machine already has is left as it is and returned.
func (l Link) Connect(ctx context.Context, pid int) (skipped []string, err error) {
	for _, args := range [][]string{
		{"link", "add", l.Device, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(pid)},
		{"addr", "add", l.HostIP + "/24", "dev", l.Device},
		{"link", "set", l.Device, "up"},
	} {
		if _, err := ip(ctx, args...); err != nil {
			return nil, err
		}
	}
	for _, r := range l.Routes {
		if out, err := ip(ctx, "route", "show", "exact", r); err == nil && out != "" {
			skipped = append(skipped, r)
			continue
		}
		if _, err := ip(ctx, "route", "add", r, "via", l.NodeIP, "dev", l.Device); err != nil {
			return nil, err
		}
	}
	return skipped, nil
}

// Disconnect removes the device and with it the routes. The kernel may be
// doing the same at that moment, because the node's namespace ended.
func (l Link) Disconnect(ctx context.Context) error {
	if !l.exists() {
		return nil
	}
	if _, err := ip(ctx, "link", "del", l.Device); err != nil && l.exists() {
		return err
	}
	return nil
}

func (l Link) exists() bool {
	_, err := net.InterfaceByName(l.Device)
	return err == nil
}

func ip(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "ip", args...).Output()
	if err != nil {
		text := ""
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			text = ": " + strings.TrimSpace(string(exit.Stderr))
		}
		return "", fmt.Errorf("ip %s: %w%s", strings.Join(args, " "), err, text)
	}
	return strings.TrimSpace(string(out)), nil
}

// IsRoot reports whether the process may do what a cluster needs.
func IsRoot() bool { return os.Geteuid() == 0 }
