package ledger

import (
	"encoding/json"
	"os"
	"testing"
)

// lookupIn looks variables up in a map.
func lookupIn(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, isSet := variables[name]
		return value, isSet
	}
}

func TestEnginesVariablesGiveTheTaskAndTheAttempts(t *testing.T) {
	content, err := os.ReadFile("../../Tests/engine-variables/cases.json")
	must(t, err)
	type engineCase struct {
		Name              string            `json:"name"`
		Environment       map[string]string `json:"environment"`
		Engine            string            `json:"engine"`
		Task              string            `json:"task"`
		Attempt           int               `json:"attempt"`
		AttemptOfVariable int               `json:"attempt_of_variable"`
		OrdersCode        *bool             `json:"orders_code"`
	}
	var table struct {
		Cases []engineCase `json:"cases"`
		Steps []engineCase `json:"steps"`
	}
	must(t, json.Unmarshal(content, &table))
	if len(table.Cases) < 20 || len(table.Steps) < 5 {
		t.Fatalf("the table has %d cases and %d of steps", len(table.Cases), len(table.Steps))
	}
	for _, c := range append(table.Cases, table.Steps...) {
		found, isThere := engineTaskFrom(lookupIn(c.Environment))
		expected := EngineTask{
			Engine: c.Engine, Task: c.Task, Attempt: c.Attempt, AttemptOfNamed: c.Attempt, attemptOfVariable: c.Attempt,
		}
		if c.AttemptOfVariable != 0 {
			expected.attemptOfVariable = c.AttemptOfVariable
		}
		if c.OrdersCode != nil && !*c.OrdersCode {
			expected.AttemptOfNamed = 0
		}
		if c.Environment["PROGRESS_LEDGER_TASK"] != "" {
			// The attempt is already that of the variable.
			expected.attemptOfVariable = found.attemptOfVariable
		}
		if found != expected || isThere != (c.Engine != "") {
			t.Errorf("%s: %+v, %v; expected %+v", c.Name, found, isThere, expected)
		}
	}
	largest, _ := engineTaskFrom(lookupIn(map[string]string{"PROGRESS_LEDGER_ATTEMPT": "2147483647"}))
	if largest.Attempt != AttemptMax {
		t.Errorf("the largest attempt is %d", largest.Attempt)
	}
}

func TestAnInvalidAttemptIsAnErrorOnlyIfNoEngineProvidesOne(t *testing.T) {
	cases := []struct {
		variables map[string]string
		attempt   int
		isWrong   bool
	}{
		{variables: map[string]string{}},
		{variables: map[string]string{"PROGRESS_LEDGER_ATTEMPT": ""}},
		{variables: map[string]string{"PROGRESS_LEDGER_ATTEMPT": "six"}, isWrong: true},
		{variables: map[string]string{"PROGRESS_LEDGER_ATTEMPT": "2147483648"}, isWrong: true},
		{variables: map[string]string{"AWS_BATCH_JOB_ID": "b", "AWS_BATCH_JOB_ATTEMPT": "two"}},
		{variables: map[string]string{"AIRFLOW_CTX_TASK_ID": "load", "AIRFLOW_CTX_TRY_NUMBER": "0"}, isWrong: true},
		{variables: map[string]string{"PROGRESS_LEDGER_ATTEMPT": "six", "SLURM_JOB_ID": "2"}, isWrong: true},
		{variables: map[string]string{"JOB_COMPLETION_INDEX": "1", "JOB_INDEX_FAILURE_COUNT": "0"}},
		{variables: map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_RUN_ATTEMPT": "2"}, attempt: 2},
	}
	for _, c := range cases {
		attempt, source, err := attemptFrom(lookupIn(c.variables))
		if attempt != c.attempt || (source != "") != (c.attempt > 0) || (err != nil) != c.isWrong {
			t.Errorf("%v: %d, %v, %v", c.variables, attempt, source, err)
		}
	}
}
