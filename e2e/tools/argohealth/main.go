// Command argohealth prints the health that a Lua script of argocd-cm gives objects: with the interpreter of Argo CD,
// and with no more libraries than it opens (argoproj/argo-cd util/lua/lua.go). The script is the argument, the objects
// come as a JSON list on the standard input.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
)

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "argohealth:", err)
		os.Exit(1)
	}
}

func run(script string, in io.Reader, out io.Writer) error {
	var objects []any
	if err := json.NewDecoder(in).Decode(&objects); err != nil {
		return err
	}
	found := make([]health, 0, len(objects))
	for _, object := range objects {
		one, err := healthOf(script, object)
		if err != nil {
			return err
		}
		found = append(found, one)
	}
	return json.NewEncoder(out).Encode(found)
}

func healthOf(script string, object any) (health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable}
	for name, open := range libraries {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return health{}, err
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limit)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return health{}, fmt.Errorf("the script gives no table, but %s", state.Get(-1).Type())
	}
	return health{text(table, "status"), text(table, "message")}, nil
}

func text(table *lua.LTable, name string) string {
	if found, ok := table.RawGetString(name).(lua.LString); ok {
		return string(found)
	}
	return ""
}

func value(state *lua.LState, one any) lua.LValue {
	switch known := one.(type) {
	case bool:
		return lua.LBool(known)
	case float64:
		return lua.LNumber(known)
	case string:
		return lua.LString(known)
	case []any:
		table := state.NewTable()
		for _, item := range known {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for name, item := range known {
			table.RawSetString(name, value(state, item))
		}
		return table
	}
	return lua.LNil
}
