"""The parts of the HTML report. ``output_html`` puts them together."""
