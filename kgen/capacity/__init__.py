"""What fits on a cluster, from its objects' plain JSON: pure arithmetic over quantities, nodes, quotas and limits.

Nothing here talks to a cluster; :mod:`kgen.backends.kubernetes.fit` reads the objects and asks these questions.
"""
