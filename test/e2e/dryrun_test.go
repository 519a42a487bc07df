//go:build e2e

package e2e

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestADryRunPrintsThePlanThatARunExecutes(t *testing.T) {
	t.Parallel()
	s := newSite(t, "guide")
	s.write(clusterFile{members: controller(guide...)})
	before := s.everything()
	dry := s.mustInit("--dry-run=client")
	if after := s.everything(); after != before {
		t.Errorf("a dry run changed something:\n%s\nbecame\n%s", before, after)
	}
	var planned []string
	for _, match := range regexp.MustCompile(`(?m)^ *\d+\. run +(.*)$`).FindAllStringSubmatch(dry.stdout, -1) {
		planned = append(planned, match[1])
	}
	r := s.mustInit("--progress=json")
	var ran []string
	for line := range strings.Lines(r.stderr) {
		var event struct{ Event, Title string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Event == "step-done" {
			ran = append(ran, event.Title)
		}
	}
	if !slices.Equal(planned, ran) {
		t.Errorf("planned\n%q\nran\n%q", planned, ran)
	}
}
