import hashlib
import sys

for name in sys.argv[1:]:
    with open(name, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with open("SHA256SUM", "a") as out:
        out.write(f"{digest}  {name}\n")
