"""Many items, one folder, hours, crashes: the one engine for it. It knows no task and no torch.

job        what a task gives: items, and a job that makes a worker
turn       what a worker has of the run while it does an item: it tells how far it is, and looks ahead to the next
events     what a run tells while it goes on
rows       the text of results: a JSON object a line, and which lines make a whole item
rowfile    the files that rows are appended to: on the disk before anything else happens
journal    the table of items, for whoever looks, also from another process
lock       one process a folder
folder     opening a folder again: what is done, what failed, what waits
process    doing items one by one, and the main function of a spawned worker
crew       the workers, and the one in this process
elsewhere  workers that are reached by messages
spawned    elsewhere: one process a device
ray_crew   elsewhere: one Ray actor a device, on the nodes of a cluster
engine     `run`, and `state` and `load_results` for those who look
"""
