# Runs when a message was moved or copied out of Junk: it is learned as no spam, unless it is thrown away.
require ["environment", "imapsieve", "vnd.dovecot.execute"];

if not environment :is "imap.mailbox" "Trash" {
  execute :pipe "python" ["-I", "@{dovecot_config}/learn.py", "ham", "@{spamd}"];
}
