"""Kill the worker of the example search-index when it has built an index and is about to publish it."""

SIZE = 66_666
"""An owner with an upload of this size loses the first worker that is about to publish."""
MARK = "search-index/killed"
"""The file of the owner's that the worker writes before it dies."""

_PUBLISHING = '    context.progress(95, "Publishing the index")\n'
CHANGES = {
    _PUBLISHING: f"""{_PUBLISHING}
    if context.attempt == 1 and any(upload.size == {SIZE} for upload in context.uploads()):
        import io, os, signal
        context.save_file({MARK!r}, io.BytesIO())
        os.kill(os.getpid(), signal.SIGKILL)
"""
}
"""What the job of the tests' stack has in addition."""
