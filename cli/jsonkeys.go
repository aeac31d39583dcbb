package cli

import (
	"reflect"
	"strings"
	"time"

	"hffs/cli/control"
	"hffs/cli/doctor"
)

// What --json prints is a promise to scripts. The types are the only description of it:
// the tag json names a key, the tag doc says what it is. From them come the manual page
// (man_json.go) and testdata/json.golden, which a test holds each later version against.

// An answer is what a command prints with --json.
type answer struct {
	command string   // as it is typed, with what makes it print this
	also    []string // other names of the same command
	text    string
	value   any // the zero of its type
}

// answers are all of them, in the order of the commands.
func answers() []answer {
	return []answer{
		{"hffs daemon status", nil, "Printed also where no node runs, or it does not answer; the exit code tells.", life{}},
		{"hffs service status", nil, "Printed also where no service is installed or no node runs; the exit code tells.", serviceState{}},
		{"hffs uninstall", nil, "It is printed at the end, when all is deleted.", removal{}},
		{"hffs get REPO FILE", []string{"hffs model add"}, "One file by its name is a flat object; nothing is printed where it cannot be had.", control.Got{}},
		{"hffs get REPO [FILE|PATTERN]...", []string{"hffs model add"}, "For all but one file by its name: also for a single pattern, and with --include, --exclude,\n" +
			"--list or --local-dir. Printed also where files fail: those have an error, and the exit code\n" +
			"is not 0.", control.Done{}},
		{"hffs get --dry-run", []string{"hffs model add"}, "Of one file as of many. Each file counts once, for the nearest who has it.", control.Survey{}},
		{"hffs ls", []string{"hffs model ls"}, "", repoList{}},
		{"hffs ls REPO", []string{"hffs model ls"}, "", fileList{}},
		{"hffs ls REPO FILE", []string{"hffs model ls"}, "The revisions are the one that was looked at.", fileJSON{}},
		{"hffs rm", []string{"hffs model rm"}, "", control.Removed{}},
		{"hffs search", []string{"hffs model search"}, "Printed also where nobody has any of it; the exit code is 3 then.", control.Found{}},
		{"hffs where", nil, "Printed also where nobody holds the file; the exit code is 3 then.", control.Where{}},
		{"hffs status", nil, "", control.Status{}},
		{"hffs peer ls", nil, "", control.Peers{}},
		{"hffs doctor", nil, "Printed also where something fails; the exit code is 1 then.", doctor.Report{}},
		{"hffs config", nil, "", settings{}},
	}
}

// A jsonKey is one key of an answer.
type jsonKey struct {
	path string // as jq has it: .sources[].kind
	kind string // of its value, in words
	may  bool   // be left out
	text string
}

// keysOf are the keys of a type, each followed by those below it. Those of the types in
// apart are not among them: these are called by their names.
func keysOf(t reflect.Type, apart map[reflect.Type]bool) (keys []jsonKey) {
	eachField(t, func(f reflect.StructField, name string, may bool) {
		inner, list := within(f.Type)
		k := jsonKey{"." + name, kindOf(f.Type, may, apart), may, f.Tag.Get("doc")}
		keys = append(keys, k)
		if inner.Kind() != reflect.Struct || inner == timeType || apart[inner] {
			return
		}
		for _, below := range keysOf(inner, apart) {
			below.path = k.path + list + below.path
			keys = append(keys, below)
		}
	})
	return keys
}

var timeType = reflect.TypeFor[time.Time]()

// eachField visits the fields that encoding/json writes, with their keys; may says
// whether it leaves them out at times.
func eachField(t reflect.Type, visit func(f reflect.StructField, name string, may bool)) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			eachField(f.Type, visit)
		case f.IsExported() && name != "-":
			visit(f, name, strings.Contains(options, "omit"))
		}
	}
}

// within is the type that a pointer or an array is of, and what stands for the array in
// a path.
func within(t reflect.Type) (inner reflect.Type, list string) {
	switch t.Kind() {
	case reflect.Pointer:
		return within(t.Elem())
	case reflect.Slice:
		inner, list = within(t.Elem())
		return inner, "[]" + list
	}
	return t, ""
}

// kindOf says what JSON a type becomes; a pointer that may be left out is never null.
func kindOf(t reflect.Type, may bool, apart map[reflect.Type]bool) string {
	switch t.Kind() {
	case reflect.Pointer:
		if may {
			return kindOf(t.Elem(), may, apart)
		}
		return kindOf(t.Elem(), may, apart) + " or null"
	case reflect.Slice:
		return "array of " + kindOf(t.Elem(), may, apart)
	case reflect.Struct:
		switch {
		case t == timeType:
			return "time"
		case apart[t]:
			return nameOf(t)
		}
		return "object"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64:
		return "integer"
	}
	return "any value"
}

// nameOf is what a type is called in the manual page.
func nameOf(t reflect.Type) string {
	return strings.ToUpper(strings.TrimSuffix(t.Name(), "JSON"))
}

// inSeveral are the types that stand in more than one place.
func inSeveral(all []answer) (apart map[reflect.Type]bool, inOrder []reflect.Type) {
	seen := map[reflect.Type]int{}
	var count func(reflect.Type)
	count = func(t reflect.Type) {
		eachField(t, func(f reflect.StructField, _ string, _ bool) {
			inner, _ := within(f.Type)
			if inner.Kind() != reflect.Struct || inner == timeType {
				return
			}
			if seen[inner]++; seen[inner] == 2 {
				inOrder = append(inOrder, inner)
			}
			if seen[inner] == 1 {
				count(inner)
			}
		})
	}
	for _, a := range all {
		count(reflect.TypeOf(a.value))
	}
	apart = map[reflect.Type]bool{}
	for _, t := range inOrder {
		apart[t] = true
	}
	return apart, inOrder
}
