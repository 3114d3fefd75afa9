# Runs when a message was moved or copied into Junk: it is learned as spam.
require ["imapsieve", "vnd.dovecot.execute"];

execute :pipe "python" ["-I", "@{dovecot_config}/learn.py", "spam", "@{spamd}"];
