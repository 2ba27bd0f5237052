package ledger

import (
	"os"
	"strconv"
)

// EngineTask is the work that a workflow engine has given to this process, by the engine's variables:
//
//	PROGRESS_LEDGER_TASK, PROGRESS_LEDGER_ATTEMPT
//	                                the values themselves, for every other engine
//	AIRFLOW_CTX_TASK_ID, AIRFLOW_CTX_TRY_NUMBER
//	                                Airflow
//	AWS_BATCH_JOB_ID, AWS_BATCH_JOB_ATTEMPT
//	                                AWS Batch
//	SLURM_JOB_ID, SLURM_ARRAY_JOB_ID, SLURM_ARRAY_TASK_ID, SLURM_RESTART_COUNT,
//	SLURM_STEP_ID, SLURM_STEP_NUM_TASKS, SLURM_PROCID
//	                                Slurm; the count is not set before the first restart, and the step only by srun
//	JOB_COMPLETION_INDEX, JOB_INDEX_FAILURE_COUNT, JOB_INDEX_IGNORED_FAILURE_COUNT
//	                                Kubernetes: the attempt is 1 more than the sum of both failure counts of the index
//	GITHUB_ACTIONS, GITHUB_RUN_ATTEMPT
//	                                GitHub Actions
//
// Kubernetes does not set the counts by itself. An indexed Job with backoffLimitPerIndex keeps them in the annotations
// batch.kubernetes.io/job-index-failure-count and job-index-ignored-failure-count of the pod. The pod template turns
// them into variables:
//
//	env:
//	  - name: JOB_INDEX_FAILURE_COUNT
//	    valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-index-failure-count']"}}
//
// Tests/engine-variables/cases.json is the table of the variables, which all clients share.
type EngineTask struct {
	// Engine is the name of the engine, or of the variable of the ledger.
	Engine string
	// Task is the engine's name for the task; empty if there is none.
	Task string
	// Attempt is the attempt at it; 0 if the engine does not provide it. The ledger then assigns it.
	Attempt int
	// AttemptOfNamed is the attempt at a task that the code names; 0 if the engine's attempts do not order its
	// executions. The ledger then assigns it.
	//
	// AWS Batch, Kubernetes and Slurm count the starts of their own job. A task that the code names may be carried out
	// by several such jobs: it is submitted again, or their processes take tasks from a queue. Their attempts do not
	// compare.
	AttemptOfNamed int

	// attemptOfVariable is the attempt at a task that PROGRESS_LEDGER_TASK names. Under Slurm it also grows with each
	// submission, so that a later submission supersedes all restarts of earlier ones.
	attemptOfVariable int
}

// EngineTaskFromEnvironment returns the work that the variables of this process describe, and whether there is any.
//
// The first engine that is found counts, in the order of EngineTask: the most specific is the first.
// PROGRESS_LEDGER_TASK names the task of the process instead of the engine.
func EngineTaskFromEnvironment() (found EngineTask, isThere bool) {
	return engineTaskFrom(os.LookupEnv)
}

func engineTaskFrom(lookup func(string) (string, bool)) (found EngineTask, isThere bool) {
	variables := engineVariables(lookup)
	for _, ask := range []func(engineVariables) (EngineTask, bool){
		explicitTask, airflowTask, batchTask, slurmTask, kubernetesTask, gitHubTask,
	} {
		if asked, isKnown := ask(variables); isKnown {
			found, isThere = asked, true
			break
		}
	}
	if task := variables.get("PROGRESS_LEDGER_TASK"); task != "" {
		found.Task, found.Attempt = task, found.attemptOfVariable
		if !isThere {
			found.Engine, isThere = "PROGRESS_LEDGER_TASK", true
		}
	}
	return found, isThere
}

// engineVariables looks up variables.
type engineVariables func(string) (string, bool)

// get returns the value of a variable; empty if it is not set.
func (v engineVariables) get(name string) string {
	text, _ := v(name)
	return text
}

// number returns a number of ASCII digits from the least one to the largest attempt, and -1 for any other value.
func (v engineVariables) number(name string, least int64) int64 {
	number, err := strconv.ParseUint(v.get(name), 10, 31)
	if err != nil || int64(number) < least {
		return -1
	}
	return int64(number)
}

// attempt returns the value of a variable if it is an attempt; otherwise 0.
func (v engineVariables) attempt(name string) int {
	if number := v.number(name, 1); number > 0 {
		return int(number)
	}
	return 0
}

// attemptAfter returns the attempt after so many failures; 0 if there are too many.
func attemptAfter(failures int64) int {
	if failures >= AttemptMax {
		return 0
	}
	return int(failures) + 1
}

// taskOfWorkflow returns the task of an engine that starts tasks, whose attempts order all executions of a task.
func taskOfWorkflow(engine, task string, attempt int) EngineTask {
	return EngineTask{
		Engine: engine, Task: task, Attempt: attempt, AttemptOfNamed: attempt, attemptOfVariable: attempt,
	}
}

// taskOfScheduler returns the task of an engine that starts processes, which do not order tasks that the code names.
func taskOfScheduler(engine, task string, attempt int) EngineTask {
	return EngineTask{Engine: engine, Task: task, Attempt: attempt, attemptOfVariable: attempt}
}

func explicitTask(v engineVariables) (EngineTask, bool) {
	attempt := v.attempt("PROGRESS_LEDGER_ATTEMPT")
	return taskOfWorkflow("PROGRESS_LEDGER_ATTEMPT", "", attempt), attempt > 0
}

func airflowTask(v engineVariables) (EngineTask, bool) {
	task, attempt := v.get("AIRFLOW_CTX_TASK_ID"), v.attempt("AIRFLOW_CTX_TRY_NUMBER")
	return taskOfWorkflow("Airflow", task, attempt), task != ""
}

func batchTask(v engineVariables) (EngineTask, bool) {
	// The ID of an array job's child already ends with its index.
	task, attempt := v.get("AWS_BATCH_JOB_ID"), v.attempt("AWS_BATCH_JOB_ATTEMPT")
	return taskOfScheduler("AWS Batch", task, attempt), task != ""
}

// The largest ID of a Slurm job (MaxJobId): 32 attempts of each are below 2^31.
const (
	slurmJobMax      = 67_043_328
	slurmRestartsMax = 31
)

func slurmTask(v engineVariables) (EngineTask, bool) {
	task := v.get("SLURM_JOB_ID")
	if task == "" {
		return EngineTask{}, false
	}
	if array, index := v.get("SLURM_ARRAY_JOB_ID"), v.get("SLURM_ARRAY_TASK_ID"); array != "" && index != "" {
		task = array + "_" + index
	}
	// A process of srun, in Slurm's own notation: other processes have no step, or one with a number above these.
	if step := v.number("SLURM_STEP_ID", 0); step >= 0 {
		task += "." + strconv.FormatInt(step, 10)
		// A step of several processes distinguishes them by their rank.
		if size, rank := v.get("SLURM_STEP_NUM_TASKS"), v.get("SLURM_PROCID"); size != "" && size != "1" && rank != "" {
			task += "." + rank
		}
	}
	// The variable counts the requeues, and is not set before the first one.
	restarts := v.number("SLURM_RESTART_COUNT", 0)
	if restarts < 0 {
		restarts = 0
	}
	found := taskOfScheduler("Slurm", task, attemptAfter(restarts))
	if job := v.number("SLURM_JOB_ID", 1); job > 0 && job <= slurmJobMax {
		if restarts > slurmRestartsMax {
			restarts = slurmRestartsMax
		}
		found.attemptOfVariable = int(job*(slurmRestartsMax+1) + restarts)
	}
	return found, true
}

func kubernetesTask(v engineVariables) (EngineTask, bool) {
	// Kubernetes gives pods their index, but not the number of tries.
	task, attempt := v.get("JOB_COMPLETION_INDEX"), 0
	if failures := v.number("JOB_INDEX_FAILURE_COUNT", 0); failures >= 0 {
		if ignored := v.number("JOB_INDEX_IGNORED_FAILURE_COUNT", 0); ignored > 0 {
			failures += ignored
		}
		attempt = attemptAfter(failures)
	}
	return taskOfScheduler("Kubernetes", task, attempt), task != ""
}

func gitHubTask(v engineVariables) (EngineTask, bool) {
	// No variable distinguishes the jobs of a matrix, so that the caller names the task.
	attempt := v.attempt("GITHUB_RUN_ATTEMPT")
	return taskOfWorkflow("GitHub Actions", "", attempt), v.get("GITHUB_ACTIONS") == "true"
}
