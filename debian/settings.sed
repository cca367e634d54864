# Makes /etc/cashewd/cashewd.env of what `cashewd --settings-env` writes.
1c\
# Settings of the service cashewd: see cashewd.env(5). Once they are right:\
#   runuser -u cashewd -- cashewd doctor --env-file /etc/cashewd/cashewd.env\
#   systemctl enable --now cashewd\
# Only the user cashewd, and root, can read this file. Leave that so: it holds secrets.
2c\
# What is commented out shows its default. The real environment wins over this file.
s,^#LOG_SPOOL_DIR=.*,LOG_SPOOL_DIR=/var/lib/cashewd/log-spool,
