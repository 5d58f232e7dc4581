"""``serin report``: one rollout as one page, for people who were not there.

``command`` is the verb. ``choose`` finds the rollout in the status, ``source`` the Prometheus, ``ask`` asks for
everything; from there on all is pure: ``stages`` and ``recount`` make figures of the answers by the judge's own
functions, ``page`` says what stands where, ``charts`` and ``svg`` draw, ``write`` fills the template.
"""
