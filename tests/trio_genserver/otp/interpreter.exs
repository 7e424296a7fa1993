# Runs the programs of a file, one Elixir term a line, all at the same time; prints what each has come to as a
# Python literal, one a line. Arguments: the file, and how many milliseconds a unit has.
:logger.set_primary_config(:level, :none)

defmodule Server do
  use GenServer, restart: :temporary

  def start_link({world, child}) do
    GenServer.start_link(__MODULE__, {world, child}, name: World.name(world, elem(child, 0)))
  end

  def init({world, child}) do
    Process.flag(:trap_exit, true)
    {id, _, _, starts, _, _} = child
    number = :ets.update_counter(world.starts, id, 1, {id, -1})
    World.log(world, id, :init)
    case (if number < tuple_size(starts), do: elem(starts, number), else: :ok) do
      :ok -> {:ok, {world, child, 0}}
      :stop -> {:stop, :bad}
      :raise -> raise "init"
      :ignore -> :ignore
    end
  end

  def handle_call(message, from, state), do: handle(message, from, state)
  def handle_cast(message, state), do: handle(message, nil, state)
  def handle_info(_, state), do: {:noreply, state}

  defp handle(message, from, {world, child, handled}) do
    World.log(world, elem(child, 0), elem(message, 0))
    state = {world, child, handled + 1}
    case message do
      {:get} -> answer(from, handled, state)
      {:crash} -> raise "crash"
      {:stop, reason} -> {:stop, reason, state}
      {:reply_stop, reason} ->
        # Here the answer is given at once, and with {:stop, reason, reply, state} when the server has ended.
        if from, do: GenServer.reply(from, handled)
        {:stop, reason, state}
      {:continue, what} ->
        if from, do: {:reply, handled, state, {:continue, what}}, else: {:noreply, state, {:continue, what}}
      {:later, units} ->
        if from, do: spawn(fn -> World.sleep(world, units); GenServer.reply(from, handled) end)
        {:noreply, state}
      {:work, units} ->
        World.sleep(world, units)
        answer(from, handled, state)
    end
  end

  defp answer(nil, _, state), do: {:noreply, state}
  defp answer(_, value, state), do: {:reply, value, state}

  def handle_continue(what, {world, child, _} = state) do
    World.log(world, elem(child, 0), :continued)
    case what do
      :get -> {:noreply, state}
      :crash -> raise "continued"
      {:stop, reason} -> {:stop, reason, state}
    end
  end

  def terminate(reason, {world, {id, _, _, _, lasts, how}, _}) do
    World.log(world, id, {:terminate, World.reason(reason)})
    if lasts > 0, do: World.sleep(world, lasts)
    World.log(world, id, :terminated)
    case how do
      :ok -> :ok
      :raise -> raise "terminate"
      :stop -> exit(:other)
    end
  end
end

defmodule World do
  def name(world, id), do: :"#{world.number}_#{id}"
  def sleep(world, units), do: Process.sleep(round(units * world.unit))
  def log(world, id, event), do: :ets.insert(world.log, {:erlang.unique_integer([:monotonic]), id, event})

  def reason({%RuntimeError{message: text}, stack}) when is_list(stack), do: {:crash, text}
  def reason({reason, {module, function, _}}) when {module, function} in [{GenServer, :call}, {GenServer, :stop}, {:sys, :terminate}],
    do: reason(reason)
  def reason({:shutdown, _} = reason), do: reason
  def reason(reason) when is_atom(reason), do: reason
  def reason(other), do: {:unknown, inspect(other)}

  def run({strategy, max_restarts, children, clients}, number, unit) do
    Process.flag(:trap_exit, true)
    tables = for _ <- 1..2, do: :ets.new(:table, [:ordered_set, :public])
    [log, starts] = tables
    world = %{number: number, unit: unit, log: log, starts: starts}
    specs =
      for {id, restart, shutdown, _, _, _} = child <- Tuple.to_list(children) do
        time = if is_float(shutdown), do: round(shutdown * unit), else: shutdown
        %{id: id, start: {Server, :start_link, [{world, child}]}, restart: restart, shutdown: time}
      end
    {:ok, supervisor} =
      Supervisor.start_link(specs, strategy: strategy, max_restarts: max_restarts, max_seconds: 100_000)
    begin = System.monotonic_time(:millisecond)
    tasks =
      for client <- Tuple.to_list(clients) do
        Task.async(fn ->
          Process.flag(:trap_exit, true)
          results =
            for {time, action} <- Tuple.to_list(client) do
              # Who is late waits for the next time of his own, so that nobody acts when others do.
              wait = begin + round(time * unit) - System.monotonic_time(:millisecond)
              Process.sleep(if wait > 0, do: wait, else: Integer.mod(wait - 1, unit) + 1)
              act(action, world, supervisor)
            end
          rest = begin + 40 * unit - System.monotonic_time(:millisecond)
          if rest > 0, do: Process.sleep(rest)
          for result <- results do
            case result do
              {:monitor, reference} ->
                receive do
                  {:DOWN, ^reference, _, _, reason} -> {:down, reason(reason)}
                after
                  0 -> {:down, nil}
                end
              other -> other
            end
          end
        end)
      end
    seen = for task <- tasks, do: Task.await(task, :infinity)
    alive = for {id, _, _, _, _, _} <- Tuple.to_list(children), do: Process.whereis(name(world, id)) != nil
    up = Process.alive?(supervisor)
    if up, do: Supervisor.stop(supervisor, :shutdown, :infinity)
    events =
      for {id, _, _, _, _, _} <- Tuple.to_list(children) do
        for {_, ^id, event} <- :ets.tab2list(log), do: event
      end
    {seen, up, alive, events}
  end

  defp act(action, world, supervisor) do
    case action do
      {:call, id, message} -> {:value, GenServer.call(name(world, id), message, :infinity)}
      {:cast, id, message} -> GenServer.cast(name(world, id), message)
      {:stop, id, reason} -> GenServer.stop(name(world, id), reason, :infinity)
      {:monitor, id} -> {:monitor, Process.monitor(name(world, id))}
      {:end, id} -> answer(Supervisor.terminate_child(supervisor, id))
      {:restart, id} -> answer(Supervisor.restart_child(supervisor, id))
      {:delete, id} -> answer(Supervisor.delete_child(supervisor, id))
      {:count, _} -> {:active, Supervisor.count_children(supervisor).active}
    end
  catch
    :exit, reason -> {:exit, reason(reason)}
  end

  defp answer(:ok), do: :ok
  defp answer({:ok, :undefined}), do: :ignored
  defp answer({:ok, _}), do: :ok
  defp answer({:error, reason}) when reason in [:not_found, :running, :restarting], do: reason
  defp answer({:error, _}), do: :failed

  def python(nil), do: "None"
  def python(true), do: "True"
  def python(false), do: "False"
  def python(value) when is_atom(value), do: "'#{value}'"
  def python(value) when is_binary(value), do: inspect(value)
  def python(value) when is_number(value), do: "#{value}"
  def python(value) when is_tuple(value), do: python(Tuple.to_list(value))
  def python(value) when is_list(value), do: "(" <> Enum.map_join(value, &(python(&1) <> ",")) <> ")"
  def python(value), do: inspect(inspect(value))
end

[file, unit] = System.argv()
unit = String.to_integer(unit)

file
|> File.stream!()
|> Enum.map(&elem(Code.eval_string(&1), 0))
|> Enum.with_index()
|> Enum.map(fn {program, number} -> Task.async(fn -> World.run(program, number, unit) end) end)
|> Enum.each(fn task -> IO.puts(World.python(Task.await(task, :infinity))) end)
