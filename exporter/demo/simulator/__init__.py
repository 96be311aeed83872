"""A simulated Kubernetes cluster with Argo Rollouts, whose pages look like those of the real components.

`scenario` applies actions to `cluster`, which holds `objects`. Its `controllers` run the `reconciler` (strategies
`canary` and `bluegreen`, on `shared` steps and `arithmetic`; `conditions` at the end), its `kubelet` runs the pods.
The pages (`argo_page`, `kube_page`, `state_page`, in `exposition` text) and the `ground_truth` show the objects.
"""
