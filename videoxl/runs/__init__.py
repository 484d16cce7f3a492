"""The run engine: a durable job queue for many items in one folder. It knows no task and no torch.

engine           `run`, the entry point; also `state` and `load_results` for readers
job              what a task provides: items, and a job that makes workers
context          what a worker can do while it processes an item: report progress, set a timeout, prefetch the next item
events           what a run reports to its caller
schedule         the order of items, retries, and the replacement of workers
health           whether failures in a row point to the items, the worker or the device
faults           the cause of an exception: the item, its memory, or the device
remote_pool      the pool: workers, their connections and timeouts
worker           the worker's loop, and the messages that it sends
process_backend  workers as processes of this machine
ray_backend      workers as Ray actors on a cluster
folder           opening and resuming a run's folder
row_file         durable files of rows
rows             encoding and reading of rows
journal          the SQLite table of items and their states
lock             one process per folder
state            reading a run's state and results, also while it runs
"""
