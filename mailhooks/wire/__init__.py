"""The protocols of Postfix and Dovecot as pure grammar: bytes in, values out, and values in, bytes out.

Nothing here touches a socket, a clock or the store. Each incremental parser has one method, ``feed(data)``, which
returns the values that are complete ("not yet" is an empty list), holds at most a named limit of bytes, costs time
linear in what it is fed however it is cut, and raises nothing but ``WireError``. Bytes are outside, ``str`` is inside.
"""
