package k0s

import "testing"

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"v1.36.3+k0s.2":          {"v1.36.3+k0s.2", 1, 36, 3, 2},
		"1.36.3+k0s.0":           {"v1.36.3+k0s.0", 1, 36, 3, 0},
		"v1.36.3+k0s.0.standin":  {"v1.36.3+k0s.0.standin", 1, 36, 3, 0},
		"v1.37.0-alpha.1+k0s.0":  {"v1.37.0-alpha.1+k0s.0", 1, 37, 0, 0},
		"v1.37.0-rc.1+k0s.12":    {"v1.37.0-rc.1+k0s.12", 1, 37, 0, 12},
		"v1.36.3+k0s.2-5-g1a2b3": {"v1.36.3+k0s.2-5-g1a2b3", 1, 36, 3, 2},
		"v1.36.3+k0s":            {"v1.36.3+k0s", 1, 36, 3, 0},
	} {
		got, err := ParseVersion(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
		if got.String() != want.text {
			t.Errorf("%s: written as %s", text, got)
		}
	}
	for _, text := range []string{
		"", "v", "latest", "1.36", "v1.36.3", "v1.36.3+k3s.1", "vv1.36.3+k0s.0", "v1.36.3+k0s.0 ", "v1.36.3+k0s.0\n",
		"v1.36.3-k0s.0", // how container images are tagged, not how releases are named
		"v1.99999999999999999999.3+k0s.0", "$(id)+k0s.0", "v1.36.3+k0s.0;id",
	} {
		if got, err := ParseVersion(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for text, want := range map[string]struct{ atLeast, learner bool }{
		"v1.36.3+k0s.2":         {true, true},
		"v1.36.1+k0s.0":         {true, true},
		"v1.36.0+k0s.1":         {false, false},
		"v1.35.9+k0s.0":         {false, false},
		"v1.37.0-alpha.1+k0s.0": {true, true},
		"v2.0.0+k0s.0":          {true, true},
		"v0.99.0+k0s.0":         {false, false},
	} {
		v, err := ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.AtLeast(1, 36, 1); got != want.atLeast {
			t.Errorf("%s: at least 1.36.1: %v", text, got)
		}
		if got := v.JoinsAsLearner(); got != want.learner {
			t.Errorf("%s: joins as learner: %v", text, got)
		}
	}
}

func TestDownloadURL(t *testing.T) {
	version, err := ParseVersion("v1.36.3+k0s.2")
	if err != nil {
		t.Fatal(err)
	}
	for template, want := range map[string]string{
		"":                                       "https://github.com/k0sproject/k0s/releases/download/v1.36.3%2Bk0s.2/k0s-v1.36.3%2Bk0s.2-arm64",
		"https://mirror.example/k0s-%v-%p%x":     "https://mirror.example/k0s-v1.36.3%2Bk0s.2-arm64",
		"https://mirror.example/100%%/%%v/%v":    "https://mirror.example/100%/%v/v1.36.3%2Bk0s.2",
		"https://mirror.example/a%20b/k0s?arch=": "https://mirror.example/a%20b/k0s?arch=",
	} {
		if got := DownloadURL(template, version, "arm64"); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", template, got, want)
		}
	}
}
