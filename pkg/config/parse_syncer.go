package config

import (
	"net/netip"
	"regexp"
	"strings"
)

// syncer reads how the in-cluster syncer is to be installed.
func (p *parser) syncer(v value) Syncer {
	f := v.fields("enabled", "image", "imageArchive", "helper", "user", "networks", "maxRemovalPercent")
	s := Syncer{
		Enabled: f.at("enabled").boolean(), Image: p.image(f.at("image")), ImageArchive: p.local(f.at("imageArchive")),
		Helper: p.local(f.at("helper")), User: p.hostUser(f.at("user")),
		MaxRemovalPercent: f.at("maxRemovalPercent").number(DefaultMaxRemovalPercent, 0, 100),
	}
	for _, item := range f.at("networks").items() {
		if network, ok := p.network(item); ok {
			s.Networks = append(s.Networks, network)
		}
	}
	switch archive := f.at("imageArchive"); {
	case s.Image != "" && s.ImageArchive != "":
		archive.fail("the archive says the image's name, and image does, too: remove one of the two")
	case s.Enabled && s.Image == "" && s.ImageArchive == "" && !f.lost:
		f.fail("nobody knows where its image is: write imageArchive, an OCI archive on this machine, or image, its name in a registry")
	}
	return s
}

// image reads the name of an image, which becomes part of a manifest.
func (p *parser) image(v value) string {
	s := v.str()
	if s != "" && !regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9._:/@]*$`).MatchString(s) {
		v.fail("%q is no name of an image: write one such as registry.example/ha-syncer:v1", s)
	}
	return s
}

// hostUser reads the name of a user of a host, which becomes part of its sudoers.
func (p *parser) hostUser(v value) string {
	s := v.str()
	if s != "" && !regexp.MustCompile(`^[A-Za-z_][-A-Za-z0-9_.]{0,31}$`).MatchString(s) {
		v.fail("%q is no name of a user: use up to 32 letters, digits, dots, dashes and underscores", s)
	}
	return s
}

// network reads an IP network or a single address.
func (p *parser) network(v value) (netip.Prefix, bool) {
	s, ok := v.required("write a network such as 10.10.0.0/16, or remove the dash")
	if !ok {
		return netip.Prefix{}, false
	}
	network, err := netip.ParsePrefix(s)
	if address, addressErr := netip.ParseAddr(s); addressErr == nil && !strings.Contains(s, "%") {
		network, err = netip.PrefixFrom(address, address.BitLen()), nil
	}
	switch {
	case err != nil:
		v.fail("%q is no network: write one such as 10.10.0.0/16", s)
	case network != network.Masked():
		v.fail("%s is an address within %s: write the network", s, network.Masked())
	case network.Bits() == 0:
		v.fail("%s allows every address there is: write the controllers' networks", s)
	default:
		return network, true
	}
	return netip.Prefix{}, false
}
