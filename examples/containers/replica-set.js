// Makes the server that mongosh is connected to a replica set of one: mongosh --host database replica-set.js
//
// Happy path: the set "cashewd" with this member alone is initiated, unless the server is in a set already; exit when it takes writes. So it may run
// each time. The member is called as others reach it, "database:27017": drivers go where the set says. Failure: what the server says, or that it takes
// no writes within a minute; exit 1.
"use strict";

const config = { _id: "cashewd", members: [{ _id: 0, host: "database:27017" }] };
const deadline = Date.now() + 60000;

try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") {
    throw error;
  }
  rs.initiate(config);
  print("the replica set is initiated");
}
while (!db.hello().isWritablePrimary) {
  if (Date.now() > deadline) {
    print("the server is in a replica set, and takes no writes");
    quit(1);
  }
  sleep(200);
}
print("the replica set takes writes");
