/* events.aq.enqueue_raw */
DECLARE
  v_opts  DBMS_AQ.ENQUEUE_OPTIONS_T;
  v_props DBMS_AQ.MESSAGE_PROPERTIES_T;
  v_msgid RAW(16);
BEGIN
  v_opts.visibility   := :visibility;
  v_props.correlation := :correlation;
  v_props.priority    := :priority;
  v_props.delay       := :delay_seconds;
  v_props.expiration  := :expiration_seconds;
  DBMS_AQ.ENQUEUE(
    queue_name         => :queue_name,
    enqueue_options    => v_opts,
    message_properties => v_props,
    payload            => :payload,
    msgid              => v_msgid);
END;
