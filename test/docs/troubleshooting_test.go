package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTroubleshooting holds docs/troubleshooting.md to speak of every sentinel error and of every reason to refuse, in
// the words of the code.
func TestTroubleshooting(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := messages(t)
	if len(found) < 50 {
		t.Fatalf("only %d messages were found: the test does not see them any more", len(found))
	}
	for _, m := range found {
		if !strings.Contains(string(page), "`"+m+"`") {
			t.Errorf("docs/troubleshooting.md says nothing of `%s`: add its cause and remedy", m)
		}
	}
	// The page has no message that the code does not have any more.
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		if !slices.Contains(found, row[1]) {
			t.Errorf("docs/troubleshooting.md has `%s`, which the code does not say: correct or remove it", row[1])
		}
	}
}

// judging are the files whose errors are reasons not to start, or to go no further.
func judging(path string) bool {
	folder, file := filepath.Base(filepath.Dir(path)), filepath.Base(path)
	switch folder {
	case "controlplane":
		return slices.Contains([]string{"preflight.go", "grow.go", "removal.go"}, file)
	case "etcd":
		return slices.Contains([]string{"rules.go", "grow.go", "member.go"}, file)
	}
	return false
}

// messages are the texts of the product's sentinel errors and refusals, with an ellipsis for what is filled in.
func messages(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, folder := range []string{"pkg", "plugins"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			for _, declaration := range file.Decls {
				_, atTop := declaration.(*ast.GenDecl)
				ast.Inspect(declaration, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						found = append(found, said(call, atTop, judging(path))...)
					}
					return true
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// said is what a call makes an error of, where that is one to be explained.
func said(call *ast.CallExpr, atTop, judging bool) []string {
	var texts []ast.Expr
	switch name := called(call); {
	case name == "errors.New" && (atTop || judging), name == "fmt.Errorf" && judging, name == "Refuse", name == "cli.Refuse":
		texts = call.Args[:1]
	case name == "problem" && judging, name == "a.refuse":
		texts = call.Args
	}
	var found []string
	for _, e := range texts {
		text := strings.Join(strings.Fields(regexp.MustCompile(`%[a-z]`).ReplaceAllString(literal(e), "…")), " ")
		text = strings.ReplaceAll(text, "`", "'")
		if name := called(call); name == "a.refuse" && !strings.Contains(text, "…") {
			continue // the remedy, which is printed beside the reason
		}
		if len(strings.Trim(text, "… :,()")) > 8 {
			found = append(found, text)
		}
	}
	return found
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// literal is the text of a constant expression.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value) // no text is no message
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}
