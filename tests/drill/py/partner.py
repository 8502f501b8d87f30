"""A service provider: partner.py OWN_COPY IDP_METADATA SIGNER_PEM EPOCH.

Succeeds if the signer is named in its own copy and neither document has ended at that moment.
"""

import base64
import datetime
import re
import sys
import xml.etree.ElementTree as tree

copy, idp, signer, moment = sys.argv[1:5]
body = re.sub(r"-----[^-]+-----|\s", "", open(signer).read())
now = datetime.datetime.fromtimestamp(int(moment), datetime.timezone.utc)
for path in (copy, idp):
    root = tree.parse(path).getroot()
    until = datetime.datetime.fromisoformat(root.get("validUntil").replace("Z", "+00:00"))
    if until <= now:
        sys.exit(f"metadata has ended at {until}")
named = tree.parse(copy).getroot().iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate")
if base64.b64decode(body) not in [base64.b64decode(element.text) for element in named]:
    sys.exit("the signer is not in the partner's copy")
print("assertion accepted")
