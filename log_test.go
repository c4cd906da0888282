package tcpnet_test

import (
	"fmt"
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

// Every message that the library logs is in docs/OPERATING.md, with its levels and
// attributes, and nothing else is.
func TestLogMessagesAreDocumented(t *testing.T) {
	logged, err := loggedMessages()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedMessages(string(text))
	for _, m := range logged {
		if !slices.Contains(documented, m) {
			t.Errorf("docs/OPERATING.md does not list %v", m)
		}
	}
	for _, m := range documented {
		if !slices.Contains(logged, m) {
			t.Errorf("docs/OPERATING.md lists %v, which is not logged", m)
		}
	}
	if len(logged) < 10 {
		t.Errorf("only %d messages found", len(logged))
	}
}

// logMessage is one that is logged, or documented.
type logMessage struct{ text, levels, attributes string }

func (m logMessage) String() string {
	return fmt.Sprintf("%q, level %s, attributes %s", m.text, m.levels, m.attributes)
}

// logRow is a row of the table of messages.
var logRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([A-Z, ]+) \\| ([^|]*) \\|")

func documentedMessages(text string) (all []logMessage) {
	for _, row := range logRow.FindAllStringSubmatch(text, -1) {
		all = append(all, logMessage{row[1], row[2], strings.ReplaceAll(row[3], "`", "")})
	}
	return all
}

// notTheLibrary are the directories whose messages are those of programs and tests.
var notTheLibrary = []string{".git", "cmd", "bench", "examples", "metrics", "tcpnettest", "internal/lab", "internal/labtest"}

// levels are the methods of a logger.
var levels = map[string]string{"Debug": "DEBUG", "Info": "INFO", "Warn": "WARN", "Error": "ERROR", "Log": "WARN, ERROR"}

// loggedMessages finds the calls of loggers in the source.
func loggedMessages() (all []logMessage, err error) {
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(notTheLibrary, filepath.ToSlash(path)):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			m, ok, wrong := logCall(call)
			if wrong != nil && err == nil {
				err = fmt.Errorf("%v: %w", fset.Position(call.Pos()), wrong)
			}
			if ok && !slices.Contains(all, m) {
				all = append(all, m)
			}
			return true
		})
		return err
	})
	return all, err
}

// logCall returns the message of a call, if it is one of a logger's method.
func logCall(call *ast.CallExpr) (m logMessage, ok bool, err error) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return m, false, nil
	}
	args := call.Args
	level, isLevel := levels[method.Sel.Name]
	switch {
	case method.Sel.Name == "complain": // of mDNS: a warning with err and more
		level = "WARN"
		args = append([]ast.Expr{args[0], &ast.BasicLit{Kind: token.STRING, Value: `"err"`}, args[1]}, args[2:]...)
	case !isLevel || !isLogger(method.X):
		return m, false, nil
	case method.Sel.Name == "Log":
		args = args[2:]
	}
	text, ok := literal(args[0])
	if !ok {
		if id, isName := args[0].(*ast.Ident); isName && id.Name == "what" {
			return m, false, nil // in complain
		}
		return m, false, fmt.Errorf("the message is not a literal")
	}
	var names []string
	for i := 1; i < len(args); i += 2 {
		name, ok := literal(args[i])
		if !ok {
			return m, false, fmt.Errorf("the name of an attribute is not a literal")
		}
		names = append(names, name)
	}
	return logMessage{text, level, strings.Join(names, ", ")}, true, nil
}

// isLogger reports whether an expression looks like a logger.
func isLogger(x ast.Expr) bool {
	name := ""
	switch x := x.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	}
	return slices.Contains([]string{"log", "logger", "slog"}, strings.ToLower(name))
}

func literal(x ast.Expr) (string, bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}
