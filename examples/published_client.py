r"""Drive a run from a program: the published client of superglue, unchanged, against callslip.

pip install superglue-client==2.0.0
callslip tools add examples/weather_forecast.json
callslip keys create program                      # shows the key once
callslip serve --http
python examples/published_client.py http://127.0.0.1:8484/v1 KEY weather_forecast \
    '{"place": "Lisbon"}'
"""

import json
import sys

from superglue_client import AuthenticatedClient
from superglue_client.api.runs import get_run
from superglue_client.api.tools import run_tool
from superglue_client.models import Run, RunRequest


def main() -> None:
    """Run a tool, wait for its end, print its result."""
    url, key, tool_id, inputs = sys.argv[1:5]
    with AuthenticatedClient(url, key, raise_on_unexpected_status=True) as client:
        body = RunRequest.from_dict({"inputs": json.loads(inputs)})
        run = run_tool.sync(tool_id, client=client, body=body)
        if not isinstance(run, Run):
            sys.exit(f"the call was refused: {run}")
        recorded = get_run.sync(run.run_id, client=client)
        if not isinstance(recorded, Run):
            sys.exit(f"the run is not recorded: {recorded}")
        print(f"{recorded.run_id}: {recorded.status.value}", file=sys.stderr)
        print(json.dumps(recorded.to_dict().get("data"), indent=2))


if __name__ == "__main__":
    main()
