"""A local web page that shows a run while it goes on, or one that was recorded."""
