"""Many items, one folder, hours, crashes: the one engine for it. It knows no task and no torch.

job        what a task gives: items, and a job that makes a worker
context       what a worker has of the run while it does an item: it tells how far it is, and looks ahead to the next
events     what a run tells while it goes on
rows       the text of results: a JSON object a line, and which lines make a whole item
row_file    the files that rows are appended to: on the disk before anything else happens
journal    the table of items, for whoever looks, also from another process
lock       one process a folder
folder     opening a folder again: what is done, what failed, what waits
faults     whose fault an exception is: the item's, or its worker's and the device's
process    doing items one by one, and the main function of a spawned worker
elsewhere  the workers, which are reached by messages, and how long they may take
spawned    elsewhere: one process a device
ray_pool   elsewhere: one Ray actor a device, on the nodes of a cluster
health     what failures in a row say about a worker and its device
schedule   which item is done when, and again
engine     `run`, and `state` and `load_results` for those who look
"""
