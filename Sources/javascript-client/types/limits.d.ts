/** The largest increment of one `add` or `done`, which every JSON parser holds exactly. */
export const incrementMax: number;
export const attemptMax: number;
export const labelsMax: 1000;
export const labelLengthMax: 100;
export const taskLengthMax: 200;
export const executionLengthMax: 200;
export const jobNameLengthMax: 200;
export const jobKeyLengthMax: 200;
export const tagsMax: 50;
export const tagNameLengthMax: 100;
export const tagValueLengthMax: 200;
export const messageLengthMax: 1000;
export const linkLengthMax: 2000;
export const unitLengthMax: 32;
export const partLengthMax: 100;
/** The time for which increments are collected before they are sent, and the longest one. */
export const intervalDefault: 1000;
/** The time without anything to send after which an execution repeats its start, which shows that it lives. */
export const heartbeatInterval: 30000;
/** The limit of one request, from connecting to the last byte. The ledger waits up to 5 s for its projection. */
export const requestWait: 15000;
/** The pause after the first failure. It doubles with each further one, up to `pauseMax`. */
export const pauseMin: 200;
export const pauseMax: 30000;
/** The longest pause that a Retry-After header can ask for. */
export const retryAfterMax: 300000;
/** The part of such a pause that is added at most, because all executions are asked for the same. */
export const retryAfterSpread: 0.1;
/** The maximum number of events in one request. With the longest names they stay well below 16 MiB. */
export const batchSizeMax: 1000;
/** The time after its end for which an execution tries to deliver its reports. */
export const drainMax: 900000;
/** The number of ended executions, and of ends of jobs, of one client that do so at once: some 20 MB. */
export const drainingMax: 2000;
/** The time between two checks whether an execution is superseded: a zombie continues for that long. */
export const checkIntervalDefault: 10000;
export const checkIntervalMin: 100;
/** The longest wait of an end for the last reports. All ends in one outage share it. It outlasts a restart. */
export const closeWaitDefault: 5000;
/** The fraction of that wait that the end of a job, or of the process, has after an outage has used up the rest. */
export const lastWaitPart: 20;
/** The limit of a flush. */
export const flushWaitMax: 60000;
/** The maximum number of requests of one client that are in flight. */
export const requestsMax: 32;
/** The time after a failure for which an outage is assumed to last. While anything retries, the next comes sooner. */
export const failureMemory: number;
/** The shortest wait for the last reports whose timeout counts as an outage. */
export const outageWaitMin: 1000;
/** The minimum time between two logged outages. */
export const logPauseMin: 60000;
/** The time for which reads, and the creation of jobs, are retried while the ledger is unreachable. */
export const callRetryMax: 10000;
/** The time for which a watch tries to resume. */
export const watchOutageMax: 3600000;
/** The time without data, heartbeats included, after which a stream counts as lost. */
export const watchIdleMax: 45000;
/** The longest wait of one poll for a change. The ledger waits 30 s at most. */
export const pollWait: 25000;
/** The maximum size of a response in memory. A page of 1,000 events with long names is shorter. */
export const responseBytesMax: number;
/** The number of items of one page. The ledger returns 1,000 at most. */
export const pageSize: 500;
/** The maximum number of jobs whose last own event a client remembers: about 1.5 MB. */
export const ownWritesMax: 10000;
/** The maximum size of a token in a file. */
export const tokenBytesMax: 65536;
/** The time after a signal from which a second one ends the process at once. */
export const secondSignalMin: 1000;
/** The bytes of requests that a browser delivers after the end of their page. It allows 64 KiB in all. */
export const keepaliveBytesMax: 60000;
/** The maximum number of digits of an integer. A ledger sends fewer, and to parse more takes long. */
export const digitsMax: 1000;
/** The longest time of a timer. A longer one would end at once. */
export const timerMax: number;
