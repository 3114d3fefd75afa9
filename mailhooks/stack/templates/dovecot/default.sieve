# Runs before the user's own script: what SpamAssassin marked goes to Junk and nowhere else.
require ["fileinto", "mailbox"];

if header :is "X-Spam-Flag" "YES" {
  fileinto :create "Junk";
  stop;
}
