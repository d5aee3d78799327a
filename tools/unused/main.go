// Command unused lists the exported names of the service's packages that nobody
// outside of their package uses: each is a promise that no one asked for. A
// package's own tests are no users; those of other packages are, as they have no
// other way, and deadcode finds what only they call.
//
// A method counts as used when it makes its type fit an interface that is called
// elsewhere, and a type when an exported declaration of its package mentions it.
package main

import (
	"fmt"
	"go/types"
	"os"
	"sort"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	names, err := unused(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "unused:", err)
		os.Exit(2)
	}
	for _, name := range names {
		fmt.Println(name)
	}
	if len(names) > 0 {
		os.Exit(1)
	}
}

const module = "github.com/ecovolt/telemetryd/"

func unused(dir string) ([]string, error) {
	all, err := packages.Load(&packages.Config{Dir: dir, Tests: true,
		Mode: packages.NeedName | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedSyntax | packages.NeedImports | packages.NeedDeps | packages.NeedForTest | packages.NeedModule}, "./...")
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	called := map[string]bool{} // names of methods called through an interface, or required by one of another module
	for _, p := range all {
		for _, problem := range p.Errors {
			return nil, problem
		}
		for _, object := range p.TypesInfo.Uses {
			if object.Pkg() == nil || !fits(p, object) {
				continue
			}
			used[key(object)] = true
			if f, ok := object.(*types.Func); ok && isInterface(f) {
				called[f.Name()] = true
			}
		}
	}
	packages.Visit(all, nil, func(p *packages.Package) {
		if strings.HasPrefix(p.PkgPath, module) {
			return
		}
		for _, name := range p.Types.Scope().Names() {
			if t, ok := p.Types.Scope().Lookup(name).Type().Underlying().(*types.Interface); ok {
				for i := range t.NumMethods() {
					called[t.Method(i).Name()] = true
				}
			}
		}
	})
	var found []string
	for _, p := range all {
		if p.ForTest != "" || p.Name == "main" || strings.HasSuffix(p.ID, ".test") {
			continue
		}
		mentioned := map[types.Object]bool{}
		for _, name := range p.Types.Scope().Names() {
			if object := p.Types.Scope().Lookup(name); object.Exported() {
				mention(object, mentioned)
			}
		}
		for _, name := range p.Types.Scope().Names() {
			object := p.Types.Scope().Lookup(name)
			if t, ok := object.(*types.TypeName); ok && !t.IsAlias() {
				named := t.Type().(*types.Named)
				for i := range named.NumMethods() {
					m := named.Method(i)
					if m.Exported() && !used[key(m)] && !called[m.Name()] {
						found = append(found, key(m))
					}
				}
			}
			if object.Exported() && !used[key(object)] && !mentioned[object] && !enumerated(object) {
				found = append(found, key(object))
			}
		}
	}
	sort.Strings(found)
	return found, nil
}

// fits tells whether a use counts: one from outside of the object's package.
func fits(p *packages.Package, object types.Object) bool {
	return strings.TrimSuffix(p.PkgPath, "_test") != object.Pkg().Path() || isInterface(object)
}

func isInterface(object types.Object) bool {
	f, ok := object.(*types.Func)
	return ok && f.Signature().Recv() != nil && types.IsInterface(f.Signature().Recv().Type())
}

// enumerated tells whether a constant is one of a type's values, which come as a set.
func enumerated(object types.Object) bool {
	_, constant := object.(*types.Const)
	_, named := object.Type().(*types.Named)
	return constant && named
}

// mention notes the types that a user of the object gets into his hands.
func mention(object types.Object, seen map[types.Object]bool) {
	var walk func(types.Type)
	visited := map[types.Type]bool{}
	walk = func(t types.Type) {
		if visited[t] {
			return
		}
		visited[t] = true
		switch t := t.(type) {
		case *types.Named:
			if t.Obj() != object {
				seen[t.Obj()] = true
			}
			for i := range t.TypeArgs().Len() {
				walk(t.TypeArgs().At(i))
			}
			if t.Obj() == object {
				walk(t.Underlying())
				for i := range t.NumMethods() {
					if t.Method(i).Exported() {
						walk(t.Method(i).Type())
					}
				}
			}
		case *types.Struct:
			for i := range t.NumFields() {
				if t.Field(i).Exported() {
					walk(t.Field(i).Type())
				}
			}
		case *types.Signature:
			walk(t.Params())
			walk(t.Results())
		case *types.Tuple:
			for i := range t.Len() {
				walk(t.At(i).Type())
			}
		case *types.Map:
			walk(t.Key())
			walk(t.Elem())
		case interface{ Elem() types.Type }:
			walk(t.Elem())
		case *types.Interface:
			for i := range t.NumMethods() {
				walk(t.Method(i).Type())
			}
		}
	}
	walk(object.Type())
}

func key(object types.Object) string {
	path := strings.TrimPrefix(object.Pkg().Path(), module)
	if f, ok := object.(*types.Func); ok {
		if f = f.Origin(); f.Signature().Recv() != nil {
			t := f.Signature().Recv().Type()
			if p, ok := t.(*types.Pointer); ok {
				t = p.Elem()
			}
			if n, ok := t.(*types.Named); ok {
				return path + "." + n.Obj().Name() + "." + f.Name()
			}
		}
	}
	return path + "." + object.Name()
}
