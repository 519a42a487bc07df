package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is a file of the product.
type source struct {
	path string
	*ast.File
}

// product are the sources of what people run, without their tests.
func product(t *testing.T) []source {
	t.Helper()
	var sources []source
	for _, folder := range []string{"cmd", "pkg", "plugins", "syncer"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			sources = append(sources, source{path, file})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return sources
}

// judging are the files whose errors are reasons not to start, or to go no further.
func (s source) judging() bool {
	folder, file := filepath.Base(filepath.Dir(s.path)), filepath.Base(s.path)
	switch folder {
	case "controlplane":
		return slices.Contains([]string{"preflight.go", "grow.go", "removal.go", "certificate.go"}, file)
	case "etcd":
		return slices.Contains([]string{"rules.go", "grow.go", "member.go"}, file)
	case "lbhelper":
		return slices.Contains([]string{"policy.go", "certificate.go"}, file)
	case "kube":
		return file == "clientcertificate.go"
	case "syncer":
		return file == "certificate.go"
	}
	return false
}

// errorTypes are the types that have an Error method, as "package.type", with what their message begins with; empty where it
// is what the value was made with.
func errorTypes(sources []source) map[string]string {
	types := map[string]string{}
	for _, s := range sources {
		for _, declaration := range s.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Error" || len(f.Type.Params.List) > 0 {
				continue
			}
			receiver := f.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			opening := ""
			if texts := literals(f.Body); len(texts) > 0 {
				opening = texts[0]
			}
			types[s.Name.Name+"."+receiver.(*ast.Ident).Name] = opening
		}
	}
	return types
}

// messages are the texts of sentinel errors and refusals, and those that error types of the given names are made with.
func messages(sources []source, types []string) []string {
	var found []string
	for _, s := range sources {
		for _, declaration := range s.Decls {
			_, atTop := declaration.(*ast.GenDecl)
			ast.Inspect(declaration, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					found = append(found, said(n, atTop, s.judging())...)
				case *ast.CompositeLit:
					if slices.Contains(types, typeName(s, n)) {
						found = append(found, literals(n)...)
					}
				}
				return true
			})
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// typeName is what a composite literal is of, as "package.type".
func typeName(s source, literal *ast.CompositeLit) string {
	switch of := literal.Type.(type) {
	case *ast.Ident:
		return s.Name.Name + "." + of.Name
	case *ast.SelectorExpr:
		if x, ok := of.X.(*ast.Ident); ok {
			return x.Name + "." + of.Sel.Name
		}
	}
	return ""
}

// said is what a call makes an error of, where that is one to be explained.
func said(call *ast.CallExpr, atTop, judging bool) []string {
	var texts []ast.Expr
	switch name := called(call); {
	case name == "errors.New" && (atTop || judging), name == "fmt.Errorf" && judging, name == "Refuse", name == "cli.Refuse":
		texts = call.Args[:1]
	case name == "problem" && judging, name == "a.refuse":
		texts = call.Args
	case name == "s.refuse":
		return literals(call.Args[0])
	}
	var found []string
	for _, e := range texts {
		text := words(literal(e))
		if name := called(call); name == "a.refuse" && !strings.Contains(text, "…") {
			continue // the remedy, which is printed beside the reason
		}
		if isMessage(text) {
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

// literals are the texts below a node that say something, in its order.
func literals(below ast.Node) []string {
	var found []string
	ast.Inspect(below, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		text := words(literal(e))
		if isMessage(text) {
			found = append(found, text)
		}
		return text == "" // what is put together was taken as a whole
	})
	return found
}

// literal is the text of a constant expression, and of what begins or ends with one.
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

// words are a text as the page has it: an ellipsis stands for all that is filled in between two words.
func words(text string) string {
	text = regexp.MustCompile(`%[a-z]( %[a-z])*`).ReplaceAllString(text, "…")
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "`", "'")
}

// isMessage tells a text that says something from punctuation.
func isMessage(text string) bool { return len(strings.Trim(text, "… :,()")) > 8 }
