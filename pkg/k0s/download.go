package k0s

import (
	"net/url"
	"strings"
)

// DefaultDownloadURL is where k0s publishes its releases. %v is the version as it stands in a URL, %p the processor.
const DefaultDownloadURL = "https://github.com/k0sproject/k0s/releases/download/%v/k0s-%v-%p"

// DownloadURL fills the template in; it knows k0sctl's tokens %v (version), %p (architecture), %x (file extension,
// empty on Linux) and %% (percent sign).
func DownloadURL(template string, version Version, arch string) string {
	if template == "" {
		template = DefaultDownloadURL
	}
	return strings.NewReplacer(
		"%%", "%",
		"%v", url.QueryEscape(version.String()),
		"%p", arch,
		"%x", "",
	).Replace(template)
}
