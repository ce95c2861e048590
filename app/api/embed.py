"""embed.py YAML CPP: config/openapi.yaml as JSON in a C++ text, so that the program serves it without any file."""
import datetime
import json
import sys

import yaml


def plain(value):
    if isinstance(value, (datetime.date, datetime.datetime)):
        raise SystemExit(f"{sys.argv[1]}: {value} has to be in quotes, or YAML makes a date of it")
    return json.JSONEncoder.default(json.JSONEncoder(), value)


with open(sys.argv[1], encoding="utf-8") as source:
    text = json.dumps(yaml.safe_load(source), ensure_ascii=False, separators=(",", ":"), default=plain)
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.write("// Generated from config/openapi.yaml.\n#include \"app/api/openapi.hpp\"\n\nnamespace cartwright::api {\n\n"
              "std::string_view openapi_json() {\n  return R\"openapi(" + text + ")openapi\";\n}\n\n}  // namespace cartwright::api\n")
