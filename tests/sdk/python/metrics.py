"""Reads metrics on standard input with Prometheus' own strict parser, and prints each sample as a line of JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        told = {"name": sample.name, "labels": sample.labels, "value": sample.value, "type": family.type}
        print(json.dumps(told))
