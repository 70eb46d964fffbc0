// bw_skid against two registers: beats in order, none lost, a beat shown stays until it is taken.
module proof #(parameter W = 2) (
    input wire clk, input wire rst_n, input wire [W-1:0] s_data, input wire s_valid, input wire m_ready
);
    wire s_ready;
    wire m_valid;
    wire [W-1:0] m_data;
    bw_skid #(.W(W)) dut (
        .clk(clk), .rst_n(rst_n),
        .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready)
    );
    reg [W-1:0] oldest;
    reg [W-1:0] newest;
    reg [1:0] held;
    reg awake;  // since reset
    wire push = s_valid && s_ready;
    wire pop  = m_valid && m_ready;
    always @(posedge clk) begin
        awake <= rst_n;
        if (!rst_n) held <= 0;
        else held <= held - pop + push;
        if (push) newest <= s_data;
        if (push && held == pop) oldest <= s_data;
        else if (pop) oldest <= newest;
    end
    always @* begin
        assert (s_ready == (awake && held < 2));
        assert (m_valid == (held > 0));
        if (held > 0) assert (m_data == oldest);
    end
endmodule
