//go:build browser

package syncer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// measure shows the page in a frame of each width, and writes down what it finds there.
const measure = `<!DOCTYPE html><title>measure</title><body><script>
for (const width of [360, 1280]) {
	const frame = document.createElement("iframe")
	frame.width = width
	frame.height = 600
	frame.src = "/"
	frame.onload = () => {
		const page = frame.contentDocument
		const said = document.createElement("pre")
		const colours = [...page.querySelectorAll("td.up, td.down, td.drain")].map(cell => getComputedStyle(cell).color)
		said.textContent = [width, page.documentElement.scrollWidth <= page.documentElement.clientWidth, page.querySelectorAll("tr").length, page.querySelectorAll("script, b").length,
			new Set(colours).size].join(" ")
		document.body.append(said)
	}
	document.body.append(frame)
}
</script>`

// TestPageInABrowser looks at the page in a headless Chromium: it fits a phone and a desk, its styles apply, nothing that
// a load balancer said is taken for markup, and nothing is asked for elsewhere.
func TestPageInABrowser(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	pages := http.NewServeMux()
	pages.Handle("GET /{$}", leadingPage())
	pages.HandleFunc("GET /measure", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, measure) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		pages.ServeHTTP(w, r)
	}))
	defer server.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	chromium := exec.CommandContext(ctx, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=3000", "--dump-dom", server.URL+"/measure")
	dom, err := chromium.Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, said := range regexp.MustCompile(`<pre>(.*?)</pre>`).FindAllStringSubmatch(string(dom), -1) {
		found = append(found, said[1])
	}
	slices.Sort(found)
	if want := []string{"1280 true 13 0 3", "360 true 13 0 3"}; !slices.Equal(found, want) {
		t.Errorf("width, does it fit, rows, markup, colours of states: got %q, want %q", found, want)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, path := range asked {
		if !slices.Contains([]string{"/", "/measure", "/favicon.ico"}, path) {
			t.Errorf("the browser asked for %s", path)
		}
	}
	if !strings.Contains(strings.Join(asked, " "), "/ /") {
		t.Errorf("the browser asked for %q alone", asked)
	}
}
